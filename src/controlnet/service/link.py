"""The seam between the engine and its workers: where these run is known behind it, and nowhere else."""

from collections.abc import Sequence
from typing import Any, Protocol

Message = tuple[Any, ...]


class Link(Protocol):
    """The engine's end of what joins a hand to one worker; used by the hand's thread, `send` by any."""

    @property
    def alive(self) -> bool:
        """Whether the worker is there."""
        ...

    def send(self, message: Message) -> None:
        """Tell the worker; OSError or ValueError where it is gone."""
        ...

    def receive(self, seconds: float) -> Message | None:
        """Return its next message; None where none came in time, or none will ever come."""
        ...

    def how(self) -> str:
        """Say how the worker died."""
        ...

    def cut(self) -> None:
        """End the worker's work, whatever it is at."""
        ...


class Workers(Protocol):
    """Where workers come from."""

    @property
    def names(self) -> Sequence[str]:
        """One for each worker that there shall be."""
        ...

    def start(self, name: str) -> Link:
        """Have a worker begin, without waiting until it is ready; OSError where that cannot be."""
        ...

    def stop(self) -> None:
        """Clear up behind the last of them."""
        ...


class Line(Protocol):
    """The worker's end: an end of a pipe, or what behaves as one."""

    def send(self, message: Any, /) -> None:
        """Tell the engine."""
        ...

    def recv(self) -> Any:
        """Wait for what the engine tells; EOFError once it has hung up."""
        ...

    def poll(self) -> bool:
        """Whether something was told, or the engine has hung up."""
        ...
