"""Generate a data set into a folder, by several processes, resumable at any example."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from controlnet.data.manifest import DatasetWriter, save_pictures
from controlnet.data.pictures import Pixels
from controlnet.errors import DataError

Draw: TypeAlias = Callable[[int], tuple[Pixels, Pixels | None, str]]
Made: TypeAlias = tuple[int, dict[str, str], str]


def generate(
    folder: str | Path, draw: Draw, count: int, provenance: Mapping[str, Any], workers: int = 1
) -> Generator[int, None, None]:
    """Fill `folder` with examples 0 … count - 1, yielding how many are there: at the start and after each.

    draw(index) -> (picture, control map, caption) must depend on nothing else and, for workers > 1, be
    picklable. Lines are written in the order of the index whatever the number of workers, so that a run that
    was killed and continued leaves the very bytes of one that was not. Raises DataError when the folder was
    begun otherwise.
    """
    folder = Path(folder)
    with DatasetWriter(folder) as writer:
        done = writer.done(provenance)
        todo = [index for index in range(count) if index not in done]
        finished = count - len(todo)
        yield finished
        for index, names, caption in _in_order(partial(_make, folder, draw), todo, workers):
            record = {**provenance, "index": index, "version": version("controlnet")}
            writer.append(index, names, caption, record)
            finished += 1
            yield finished


def _make(folder: Path, draw: Draw, index: int) -> Made:
    image, conditioning, caption = draw(index)
    return index, save_pictures(folder, index, image, conditioning), caption


def _in_order(make: Callable[[int], Made], todo: Iterable[int], workers: int) -> Iterator[Made]:
    if workers <= 1:
        yield from map(make, todo)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[Future[Made]] = deque()
    try:
        for index in todo:
            waiting.append(pool.submit(make, index))
            if len(waiting) >= 4 * workers:  # enough to keep all busy
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process died (out of memory?); run again with fewer workers to continue"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # Workers of a parent that was killed outright would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
