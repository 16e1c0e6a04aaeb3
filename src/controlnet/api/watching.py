"""Jobs seen from the event loop: waited for, watched, and ended when their client leaves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from fastapi import Request

from controlnet.service import Engine, Job

LOOK = 0.5  # seconds between looks at whether the client is there still


class Watch:
    """Wakes the event loop when a job changes."""

    def __init__(self, job: Job) -> None:
        self._job, self._loop, self._event = job, asyncio.get_running_loop(), asyncio.Event()
        self.stop = job.listen(self._heard)

    def _heard(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:  # the loop is closed: nobody watches any more
            self.stop()

    async def change(self, seconds: float = LOOK) -> bool:
        """Wait for the next change; return False where none came in time."""
        try:
            await asyncio.wait_for(self._event.wait(), seconds)
        except TimeoutError:
            return False
        self._event.clear()
        return True


@asynccontextmanager
async def watching(job: Job) -> AsyncIterator[Watch]:
    """Yield a watch of a job."""
    watch = Watch(job)
    try:
        yield watch
    finally:
        watch.stop()


async def finished(engine: Engine, job: Job, request: Request) -> bool:
    """Wait until a job is over; end it and return False where its client leaves before."""
    try:
        async with watching(job) as watch:
            while not job.over:
                await watch.change()
                if await request.is_disconnected():
                    engine.cancel(job)
                    return False
    except asyncio.CancelledError:
        engine.cancel(job)
        raise
    return True


class Audience:
    """Counts who watches a job, for those that shall end when the last one leaves."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: WeakKeyDictionary[Job, int] = WeakKeyDictionary()
        self._bound: WeakKeyDictionary[Job, bool] = WeakKeyDictionary()

    def bind(self, job: Job) -> None:
        """Let a job end when its last watcher leaves."""
        self._bound[job] = True

    def enter(self, job: Job) -> None:
        """Count one watcher more."""
        self._counts[job] = self._counts.get(job, 0) + 1

    def leave(self, job: Job) -> None:
        """Count one less."""
        self._counts[job] = self._counts.get(job, 1) - 1
        if self._counts[job] <= 0 and job in self._bound and not job.over:
            self._engine.cancel(job)
