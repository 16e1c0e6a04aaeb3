"""A box for what the engine says to one replica; by itself, so that its process loads no networks."""

import asyncio
from typing import Any


class Box:
    """What the engine says to one replica, in order; the talk is over when the box is gone."""

    def __init__(self) -> None:
        self._said: asyncio.Queue[list[Any]] = asyncio.Queue()

    async def put(self, held: list[Any]) -> None:
        """Take a message: a list of one reference, so that it is not opened here."""
        self._said.put_nowait(held)

    async def take(self) -> list[Any]:
        """Give the next one, when there is one."""
        return await self._said.get()
