"""Many pictures: several at once, what is done already kept, what cannot be read skipped, all of it noted."""

import logging
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from controlnet.cli._annotate.work import Work
from controlnet.cli._errors import TERMINATED
from controlnet.cli._progress import progress
from controlnet.errors import CheckpointError, ControlNetError, MissingExtra, MissingWeights, SettingError
from controlnet.training.stop import stop_requests

_log = logging.getLogger(__name__)

# What would be the same for every picture: no reason to skip one, but to end.
_FATAL: Final = (SettingError, CheckpointError, MissingWeights, MissingExtra, OSError)


@dataclass
class Report:
    """What became of each picture of a plan; those not in any of the three were not reached."""

    plan: Mapping[Path, Path]
    made: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)

    @property
    def there(self) -> int:
        """How many maps are there now."""
        return len(self.made) + len(self.kept)

    def values(self) -> dict[str, Any]:
        """Return the report as it goes into a JSON file, the pictures in the order of the plan."""
        status = {path: "made" for path in self.made} | {path: "kept" for path in self.kept}
        pictures: list[dict[str, Any]] = []
        for path, target in self.plan.items():
            if path in self.skipped:
                pictures.append({"picture": str(path), "status": "skipped", "reason": self.skipped[path]})
            else:
                entry = {"picture": str(path), "status": status.get(path, "not reached")}
                pictures.append(entry | ({"map": str(target)} if path in status else {}))
        counts = {"made": len(self.made), "kept": len(self.kept), "skipped": len(self.skipped)}
        unreached = len(self.plan) - sum(counts.values())
        return {"total": len(self.plan), **counts, "not_reached": unreached, "pictures": pictures}


def annotate_all(work: Work, report: Report, workers: int, overwrite: bool) -> None:
    """Make the map of every picture of the report's plan, and note what became of it.

    Maps that are done are kept unless `overwrite`. The first picture is worked on alone: a detector's network
    is loaded then, once for all threads. An error that is not the picture's own is raised, and so is any
    error of a lone picture. On Ctrl-C or SIGTERM threads finish their pictures, unless Ctrl-C comes again;
    nothing is half-written in any case.
    """
    for path, target in report.plan.items():
        if not overwrite and work.is_done(path, target):
            report.kept.append(path)
    kept = set(report.kept)
    todo = [path for path in report.plan if path not in kept]
    with progress("annotating", len(report.plan), "pictures") as advance:
        advance(len(kept))
        with closing(_done(work, report, todo, workers)) as steps:
            for _ in steps:
                advance(1)


def default_workers(learned: bool) -> int:
    """Return how many pictures to work on at once: a network alone keeps all cores busy."""
    return min(_cores(), 2) if learned else _cores()


def _done(work: Work, report: Report, todo: Sequence[Path], workers: int) -> Generator[None, None, None]:
    """Work on the pictures and yield after each."""
    alone = todo if workers <= 1 else todo[:1]
    for path in alone:
        yield _one(work, report, path)
    if len(todo) == len(alone):
        return
    rest = iter(todo[len(alone) :])
    # A signal that came while a thread is being started would leave it behind: it waits until a map is done.
    with stop_requests() as stop, _pool(workers) as pool:
        waiting: set[Future[None]] = set()
        try:
            while True:
                if stop.by:
                    raise KeyboardInterrupt if stop.by == "Ctrl-C" else SystemExit(TERMINATED)
                enough = 2 * workers - len(waiting)  # to keep all busy
                waiting |= {pool.submit(_one, work, report, path) for path in islice(rest, enough)}
                if not waiting:
                    return
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _one(work: Work, report: Report, path: Path) -> None:
    """Make the map of a picture and note it, in the thread that made it."""
    try:
        work.make(path, report.plan[path])
    except _FATAL:
        raise
    except Exception as error:  # one odd picture must not end the work on thousands
        if len(report.plan) == 1:
            raise
        known = isinstance(error, ControlNetError)
        report.skipped[path] = str(error) if known else f"unexpected {type(error).__name__}: {error}"
        _log.debug("skipped %s", path, exc_info=not known)
    else:
        report.made.append(path)


@contextmanager
def _pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Yield threads that share the cores: networks and OpenCV use several threads each otherwise.

    Threads, not processes: decoding, OpenCV and torch all work without Python's lock, and one network serves
    all of them.
    """
    import cv2

    torch = sys.modules.get("torch")  # the first picture has brought it in where it is needed
    each = max(1, _cores() // workers)
    vision, tensor = cv2.getNumThreads(), torch.get_num_threads() if torch else 1

    def share() -> None:  # torch's number is each thread's own
        if torch:
            torch.set_num_threads(min(each, tensor))

    try:
        cv2.setNumThreads(min(each, vision))
        with ThreadPoolExecutor(workers, initializer=share) as pool:
            yield pool
    finally:
        cv2.setNumThreads(vision)
        if torch:
            torch.set_num_threads(tensor)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
