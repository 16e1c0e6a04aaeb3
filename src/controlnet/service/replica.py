"""A worker that is a replica of Ray Serve: the same loop, at the other end of a talk instead of a pipe.

What the engine says lies in a box, an actor of its own; what the worker says is the stream that the talk's
call answers with. The engine's end of both is in `on_ray`. Ray itself is imported by a replica only.
"""

import asyncio
import logging
import queue
import threading
from collections.abc import AsyncIterator
from typing import Any

from controlnet.service.catalog import Catalog
from controlnet.service.limits import Limits
from controlnet.service.link import Message
from controlnet.service.models import Models
from controlnet.service.settings import Settings
from controlnet.service.worker import HUNG_UP, attend, limit_threads, set_up

log = logging.getLogger(__name__)


class Wire:
    """The worker's end, between its thread and the event loop of its replica."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[Message | None] = asyncio.Queue()
        self._heard: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._gone = threading.Event()

    def send(self, message: Any, /) -> None:
        """Tell the engine; BrokenPipeError once it has hung up."""
        if self._gone.is_set():
            raise BrokenPipeError
        self._loop.call_soon_threadsafe(self._told.put_nowait, message)

    def recv(self) -> Any:
        """Wait for what the engine tells; EOFError once it has hung up."""
        message = None if self._gone.is_set() else self._heard.get()
        if message is None:
            raise EOFError
        return message

    def poll(self) -> bool:
        """Whether something was told, or the engine has hung up."""
        return self._gone.is_set() or not self._heard.empty()

    def hear(self, message: Message) -> None:
        """Pass on what the engine tells."""
        self._heard.put(message)

    def hang_up(self) -> None:
        """Have the worker hear that the engine is gone."""
        self._gone.set()
        self._heard.put(None)

    def finish(self) -> None:
        """Say that the worker has nothing more to tell."""
        self._loop.call_soon_threadsafe(self._told.put_nowait, None)

    async def told(self) -> Message | None:
        """Return what the worker tells next, None at its end."""
        return await self._told.get()


class Replica:
    """Models, and one talk at a time; the models stay from one talk to the next."""

    def __init__(self, catalog: Catalog, settings: Settings, limits: Limits) -> None:
        self._catalog, self._settings, self._limits = catalog, settings, limits
        self._models: Models | None = None
        self._working = threading.Lock()

    async def talk(self, box: Any) -> AsyncIterator[Message]:
        """Work for whoever holds the box, and yield what there is to tell, this replica's own name first."""
        yield "here", name_of_actor()
        wire = Wire()
        hearing = asyncio.create_task(_hear(box, wire))
        threading.Thread(target=self._work, args=(wire,), name="controlnet worker", daemon=True).start()
        try:
            while (message := await wire.told()) is not None:
                yield message
        finally:
            wire.hang_up()
            hearing.cancel()

    def _work(self, wire: Wire) -> None:
        try:
            with self._working:  # who left in the middle of a step is not gone before its end
                attend(wire, self._ready, self._settings, self._limits)
        except HUNG_UP:
            log.info("the engine hung up")
        finally:
            wire.finish()

    def _ready(self) -> Models:
        limit_threads(self._settings)  # each talk has a thread of its own, and this counts for one thread
        if self._models is None:
            self._models = set_up(self._catalog, self._settings, self._settings.devices[0])
        return self._models


async def _hear(box: Any, wire: Wire) -> None:
    try:
        while True:
            (message,) = await box.take.remote()
            wire.hear(await message)
    except Exception as error:  # whatever ends the box, ends the talk
        log.info("nothing more is heard of the engine: %s", type(error).__name__)
        wire.hang_up()


def name_of_actor() -> str:
    """Return by which name Ray knows this replica."""
    import ray  # pyright: ignore[reportMissingImports]

    return ray.get_runtime_context().get_actor_name() or ""
