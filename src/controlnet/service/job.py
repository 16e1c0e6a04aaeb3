"""A job: one request on its way from the queue to its pictures, to be watched from any thread."""

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic, time
from typing import Any, Literal

from controlnet.service.refusals import JobFailed
from controlnet.service.requests import Request, weight_of

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Made:
    """One picture: PNG bytes, its seed, and how it was made in the web UI's text form."""

    png: bytes
    seed: int = 0
    text: str = ""


@dataclass(eq=False)
class Job:
    """The state of a request; only the engine changes it, anyone may read and listen.

    attempts: how often it was begun; company: how many were begun with it, itself included; alone: it is made
    by itself, since its company was lost with a worker. version grows with each change, preview_number with
    each preview. `interrupted`: ended early at the client's wish, with what was there by then.
    """

    request: Request | None
    client: str
    deadline: float  # on the monotonic clock
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    created: float = field(default_factory=time)
    born: float = field(default_factory=monotonic)
    begun: float | None = None
    ended: float | None = None
    state: State = "waiting"
    step: int = 0
    steps: int = 0
    count: int = 1
    preview: bytes | None = None
    preview_number: int = 0
    pictures: list[Made] = field(default_factory=list[Made])
    maps: list[bytes] = field(default_factory=list[bytes])
    poses: list[Any] = field(default_factory=list[Any])
    told: dict[str, Any] = field(default_factory=dict[str, Any])
    failure: JobFailed | None = None
    interrupted: bool = False
    attempts: int = 0
    company: int = 1
    alone: bool = False
    held: int = 0
    version: int = 0
    _listeners: list[Callable[[], None]] = field(default_factory=list[Callable[[], None]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        assert self.request is not None
        self.held, self.count = weight_of(self.request), self.request.count

    @property
    def over(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def progress(self) -> float:
        """How much is done, from 0 to 1."""
        return 1.0 if self.state == "done" else min(1.0, self.step / self.steps) if self.steps else 0.0

    @property
    def result_bytes(self) -> int:
        """How much memory its results take."""
        return sum(len(made.png) for made in self.pictures) + sum(map(len, self.maps))

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have a function called after each change, in whatever thread; return what stops that."""
        with self._lock:
            self._listeners.append(listener)

        def stop() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return stop

    def changed(self) -> None:
        """Tell the listeners."""
        self.version += 1
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is over, or until the timeout (seconds); return whether it is over."""
        over = threading.Event()
        stop = self.listen(lambda: over.set() if self.over else None)
        try:
            return self.over or over.wait(timeout)
        finally:
            stop()
