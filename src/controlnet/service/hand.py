"""A hand of the engine: the thread that tends to one worker, gives it work, and replaces it."""

import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from controlnet.service.job import Job, Made
from controlnet.service.link import Link, Message

if TYPE_CHECKING:
    from controlnet.service.engine import Engine

log = logging.getLogger(__name__)

TRIES: Final = 3  # workers in a row that may die before the first is ready
TICK: Final = 0.2  # seconds between looks at clock and worker; messages wake it at once


class Hand:
    """Keeps one worker alive; jobs of a worker that dies are settled, and the next one started."""

    def __init__(self, engine: "Engine", name: str) -> None:
        self._engine, self._name = engine, name
        self._thread = threading.Thread(target=self._run, name=f"controlnet {name}", daemon=True)
        self._link: Link | None = None
        self._sending = threading.Lock()
        self._group: dict[str, Job] = {}
        self._told: dict[str, float] = {}  # when a job in work was told to end
        self._ordered: set[tuple[str, str, int]] = set()
        self._taken = False  # whether the worker has said that it began with the group
        self.ready = False
        self.trouble: str | None = None
        self.usage: dict[str, Any] = {}
        self.bases: dict[str, dict[str, int]] = {}

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the thread to end, which takes the worker along."""
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def end(self, job: Job, how: str) -> None:
        """Have a job in work ended at its next step: "drop", "keep" what is there, or "skip" a picture."""
        order = (how, job.id, len(job.pictures))
        if self._group.get(job.id) is job and order not in self._ordered:  # a flood would fill the pipe
            self._ordered.add(order)
            if how != "skip":
                self._told.setdefault(job.id, monotonic())
            self._send((how, job.id))

    def _run(self) -> None:
        failed = 0
        while not self._engine.stopped:
            if not self.ready:
                failed = 0 if self._begin() else failed + 1
                if failed:
                    self._remove()
                if failed >= TRIES:
                    break
                continue
            group = self._engine.take(0.5)
            if not self._alive():
                log.warning("the idle worker on %s died (%s); it is replaced", self._name, self._how())
                self._renew()
                self._engine.put_back(group)
            elif group:
                self._work(group)
        self._remove()

    def _begin(self) -> bool:
        """Start a worker; return whether it gets so far that it has its first base."""
        try:
            self._link = self._engine.workers.start(self._name)
        except OSError as error:
            self.trouble = f"it cannot be started ({error})"
            self._engine.stirred()
            return False
        return self._wait_ready()

    def _wait_ready(self) -> bool:
        """Listen until the worker has its first base; return False where it does not get so far."""
        while not self._engine.stopped:
            message = self._receive()
            if message is not None and message[0] == "ready":
                self.ready, self.trouble = True, None
                self._hear(message)
                self._engine.stirred()
                return True
            if message is not None and message[0] == "broken":
                self.trouble = message[1]
                break
            if message is None and not self._alive():
                self.trouble = f"it died while it loaded the base ({self._how()})"
                break
        else:
            return True
        log.error("the worker on %s did not come up: %s", self._name, self.trouble)
        self._engine.stirred()
        return False

    def _work(self, group: list[Job]) -> None:
        self._group, self._told, self._ordered = {job.id: job for job in group}, {}, set()
        self._taken = False
        self._send(("group", [(job.id, job.request) for job in group]))
        while not self._engine.stopped:
            message = self._receive()
            if message is not None and message[0] == "idle":
                self._hear(message)
                break
            if message is not None:
                self._hear(message)
            elif not self._alive():
                self._mourn(group, self._how())
                return
            if self._overdue(group):  # also while steps keep coming
                self._mourn(group, "it did not react and was killed")
                return
        for job in group:
            if not job.over:
                self._engine.fail(job, "Closing", "the service stopped before this was made", mistaken=False)
        self._group = {}

    def _hear(self, message: Message) -> None:
        what, *rest = message
        if what == "taken":
            self._taken = True
            return
        if what in ("ready", "idle"):
            self.usage, self.bases = rest[0], self.bases | rest[1]
            return
        job = self._group[rest[0]]
        if what == "step":
            self._engine.moved(job, lambda job: vars(job).update(step=rest[1], steps=rest[2]))
        elif what == "preview":
            number = job.preview_number + 1
            self._engine.moved(job, lambda job: vars(job).update(preview=rest[1], preview_number=number))
        elif what == "picture":
            self._engine.add(job, Made(*rest[1:]))
        elif what == "failed":
            self._engine.fail(job, *rest[1:])
        elif job.id in self._told and monotonic() > job.deadline:
            self._engine.fail(job, "Deadline", "the deadline passed while this was made", mistaken=False)
        else:
            self._engine.finish(job, what, rest[1])

    def _overdue(self, group: list[Job]) -> bool:
        """End jobs past their deadline; return whether the worker had its time and does not react."""
        now = monotonic()
        for job in group:
            if not job.over and now > job.deadline:
                self.end(job, "drop")
        left = [job.id for job in group if not job.over]
        late = [id for id in left if id in self._told and now > self._told[id] + self._engine.limits.grace]
        return bool(late)

    def _mourn(self, group: list[Job], how: str) -> None:
        log.error("the worker on %s died (%s); it is replaced", self._name, how)
        self._renew()
        self._group = {}
        if self._taken or any(job.attempts >= TRIES for job in group):
            self._engine.lost(group, how)
        else:  # it was dead before it began
            self._engine.put_back(group)

    def _renew(self) -> None:
        self._engine.tally.restarts += 1
        self._remove()

    def _remove(self) -> None:
        self.ready = False
        link, self._link = self._link, None
        if link is not None:
            link.cut()

    def _alive(self) -> bool:
        return self._link is not None and self._link.alive

    def _how(self) -> str:
        return self._link.how() if self._link is not None else "it was never there"

    def _receive(self) -> Message | None:
        """Return the next message; None where none came within a tick, or none will ever come."""
        return self._link.receive(TICK) if self._link is not None else None

    def _send(self, message: Message) -> None:
        link = self._link
        try:
            with self._sending:
                if link is not None:
                    link.send(message)
        except (OSError, ValueError):
            log.debug("the worker on %s is gone; %s was not told", self._name, message[0])
