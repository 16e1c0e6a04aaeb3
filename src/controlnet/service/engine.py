"""The engine: takes requests, queues them under bounds, has workers make them, keeps what came of them.

Workers are processes, not threads: a detector or kernel that crashes or hangs takes its process along and not
the service, memory that it lost comes back with a new one, and no computation ever holds the interpreter that
answers health, progress and cancellation. Each has its own models; whether they are processes of this
machine or replicas on a cluster is behind `link.Workers`.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any

from controlnet.service.catalog import Catalog
from controlnet.service.hand import Hand
from controlnet.service.job import Job, Made
from controlnet.service.limits import Limits
from controlnet.service.link import Workers
from controlnet.service.processes import Processes
from controlnet.service.refusals import Busy, Closing, JobFailed
from controlnet.service.requests import Request, check
from controlnet.service.room import refusal, retry_after
from controlnet.service.settings import Settings
from controlnet.service.tally import Tally

log = logging.getLogger(__name__)


class Engine:
    """One queue, its workers, and the jobs known by their ids; every method may be called from any thread."""

    def __init__(
        self,
        catalog: Catalog,
        settings: Settings | None = None,
        limits: Limits | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.catalog, self.settings, self.limits = catalog, settings or Settings(), limits or Limits()
        self.workers = workers or Processes(self.catalog, self.settings, self.limits)
        self.tally = Tally()
        self._change = threading.Condition()
        self._waiting: list[Job] = []
        self._running: list[Job] = []
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._closing = self._stopped = False
        self._hands = [Hand(self, name) for name in self.workers.names]
        self._keeper = threading.Thread(target=self._keep, name="controlnet keeper", daemon=True)

    def start(self) -> None:
        """Bring the workers up; `ready` tells when one of them has loaded the first base."""
        import_module("controlnet.sampling")  # what `check` needs: not while the first client waits
        for hand in self._hands:
            hand.start()
        self._keeper.start()

    @property
    def ready(self) -> bool:
        """Whether a job that comes now would be made."""
        return not self._closing and any(hand.ready for hand in self._hands)

    @property
    def trouble(self) -> str | None:
        """Why no worker comes up, where that is so."""
        told = [hand.trouble for hand in self._hands]
        return told[0] if all(told) else None

    def wait_ready(self, timeout: float) -> bool:
        """Block until the engine is ready or cannot get so."""
        with self._change:
            return (
                self._change.wait_for(lambda: self.ready or self.trouble is not None, timeout) and self.ready
            )

    def submit(self, request: Request, client: str = "", deadline: float | None = None) -> Job:
        """Queue a request; raises Busy, Closing, and what `check` raises for one that cannot be meant.

        deadline: seconds, at most those of the limits.
        """
        check(request, self.catalog, self.limits)
        seconds = min(deadline or self.limits.deadline, self.limits.deadline)
        job = Job(request, client, monotonic() + seconds)
        with self._change:
            if self._closing:
                raise Closing("the service is stopping; try again later")
            if self.trouble is not None:
                raise Closing(f"the service has no worker: {self.trouble}")
            self._check_room(job)
            self._waiting.append(job)
            self._jobs[job.id] = job
            self._change.notify_all()
        return job

    def job(self, id: str) -> Job | None:
        """Return a job that is known still."""
        return self._jobs.get(id)

    def position(self, job: Job) -> int | None:
        """Return how many jobs wait before this one, None if it does not wait."""
        with self._change:
            return self._waiting.index(job) if job in self._waiting else None

    def jobs_of(self, client: str) -> tuple[list[Job], list[Job]]:
        """Return a client's jobs that run and that wait."""
        with self._change:
            return tuple([job for job in jobs if job.client == client] for jobs in self._both())  # pyright: ignore

    def counts(self) -> tuple[int, int]:
        """Return how many jobs run and how many wait."""
        return len(self._running), len(self._waiting)

    def usage(self) -> list[dict[str, Any]]:
        """Return what each worker last told of its memory and models."""
        return [dict(hand.usage, ready=hand.ready) for hand in self._hands]

    def bases(self) -> dict[str, dict[str, int]]:
        """Return size and stride of each base that a worker has loaded so far."""
        found: dict[str, dict[str, int]] = {}
        for hand in self._hands:
            found |= hand.bases
        return found

    def cancel(self, job: Job, keep: bool = False) -> None:
        """End a job at its next step; with `keep` it is done with what is there, as far as that got."""
        with self._change:
            if job in self._waiting:
                self._waiting.remove(job)
                job.interrupted = keep
                self._end(job, "done" if keep else "cancelled")
                return
        for hand in self._hands:
            hand.end(job, "keep" if keep else "drop")

    def skip(self, job: Job) -> None:
        """End the picture in work with what is there, and go on with the job's next one."""
        for hand in self._hands:
            hand.end(job, "skip")

    def forget(self, job: Job) -> None:
        """Let go of a job that is over."""
        with self._change:
            if job.over:
                self._jobs.pop(job.id, None)

    def drain(self, timeout: float) -> bool:
        """Take no more jobs, and wait until those that are there are over; return whether they are."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            return self._change.wait_for(lambda: not self._waiting and not self._running, timeout)

    def stop(self) -> None:
        """End everything now: jobs fail, workers go."""
        with self._change:
            self._closing = self._stopped = True
            left, self._waiting = self._waiting, []
            for job in left:
                self._fail(job, "Closing", "the service stopped before this was made", mistaken=False)
            self._change.notify_all()
        for hand in self._hands:
            hand.stop()
        self.workers.stop()
        if self._keeper.ident is not None:
            self._keeper.join(timeout=5)

    # What follows is for the hands, the threads that each tend to one worker.

    @property
    def stopped(self) -> bool:
        """Whether the hands shall come to an end."""
        return self._stopped

    def take(self, timeout: float) -> list[Job]:
        """Take the oldest job, and of those that wait the ones that can be made together with it."""
        with self._change:
            if not self._change.wait_for(lambda: self._waiting or self._stopped, timeout) or self._stopped:
                return []
            group = [self._waiting.pop(0)]
            kind = group[0].request.kind if group[0].request else None
            room = self.settings.batch - group[0].count
            if kind is not None and not group[0].alone:
                for job in list(self._waiting):
                    fits = job.request is not None and not job.alone and job.count <= room
                    if fits and job.request is not None and job.request.kind == kind:
                        self._waiting.remove(job)
                        group.append(job)
                        room -= job.count
            now = monotonic()
            self.tally.begun([now - job.born for job in group if not job.attempts])
            for job in group:
                job.begun, job.attempts, job.state = now, job.attempts + 1, "running"
                job.company = len(group)
            self._running += group
        for job in group:
            job.changed()
        return group

    def moved(self, job: Job, change: Callable[[Job], None]) -> None:
        """Change a job that runs."""
        with self._change:
            if job.over:
                return
            change(job)
        job.changed()

    def add(self, job: Job, made: Made) -> None:
        """Give a job its next picture."""
        self.moved(job, lambda job: job.pictures.append(made))

    def finish(self, job: Job, state: str, told: dict[str, Any]) -> None:
        """End a job that ran, as its worker said."""
        with self._change:
            job.maps, job.poses = told.get("maps", []), told.get("poses", [])
            job.told, job.interrupted = told.get("told", {}), told.get("interrupted", False)
            self._end(job, "done" if state == "done" else "cancelled")

    def fail(self, job: Job, kind: str, message: str, mistaken: bool) -> None:
        """End a job that went wrong."""
        with self._change:
            self._fail(job, kind, message, mistaken)

    def lost(self, group: list[Job], how: str) -> None:
        """Settle the jobs of a worker that died: one alone fails, of several each is tried once by itself."""
        left = [job for job in group if not job.over]
        if len(left) == 1:
            message = f"the worker that made this died ({how}) and was replaced; nothing came of it"
            self.fail(left[0], "WorkerDied", message, mistaken=False)
            return
        for job in left:
            job.alone = True
        self.put_back(left)

    def put_back(self, group: list[Job]) -> None:
        """Let jobs wait again, before all others: nothing was done for them."""
        with self._change:
            for job in reversed([job for job in group if not job.over]):
                self._running.remove(job)
                job.state, job.step = "waiting", 0
                job.pictures.clear()
                self._waiting.insert(0, job)
            self._change.notify_all()

    def stirred(self) -> None:
        """Wake whoever waits for a change of the workers."""
        with self._change:
            self._change.notify_all()

    def _both(self) -> tuple[list[Job], list[Job]]:
        return self._running, self._waiting

    def _check_room(self, job: Job) -> None:
        refused = refusal(job, self._running, self._waiting, self.limits)
        if refused is not None:
            reason, message = refused
            self.tally.refused(reason)
            seconds = retry_after(self.tally, len(self._waiting), len(self._hands))
            raise Busy(f"{message}; try again later", reason, seconds)

    def _fail(self, job: Job, kind: str, message: str, mistaken: bool) -> None:
        if not job.over:
            job.failure = JobFailed(kind, message, mistaken)
            self._end(job, "failed")

    def _end(self, job: Job, state: Any) -> None:
        if job.over:
            return
        job.state, job.ended, job.request, job.held = state, monotonic(), None, 0
        if job in self._running:
            self._running.remove(job)
        ran = None if job.begun is None else job.ended - job.begun
        self.tally.ended(state, ran, len(job.pictures), job.company)
        self._change.notify_all()
        job.changed()

    def _keep(self) -> None:
        """End what waits past its deadline, and let go of old results, about once a second."""
        while not self._stopped:
            with self._change:
                self._change.wait_for(lambda: self._stopped, 1.0)
                now = monotonic()
                for job in [job for job in self._waiting if now > job.deadline]:
                    self._waiting.remove(job)
                    self._fail(job, "Deadline", "the deadline passed while this waited", mistaken=False)
                over = [job for job in self._jobs.values() if job.over]
                size = sum(job.result_bytes for job in over)
                for number, job in enumerate(over):
                    old = now - (job.ended or now) > self.limits.kept_seconds
                    if old or len(over) - number > self.limits.kept or size > self.limits.kept_bytes:
                        size -= job.result_bytes
                        del self._jobs[job.id]
