"""Work spread over processes whose results come in the order of the work."""

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from controlnet.errors import DataError

T = TypeVar("T")
R = TypeVar("R")


def in_order(make: Callable[[T], R], todo: Iterable[T], workers: int) -> Generator[R, None, None]:
    """Yield make(each) for each of `todo`, in its order; for workers > 1 in as many processes.

    `todo` is taken as it is needed: a few for each worker are under way, however many there are. `make` must
    be picklable then. Raises what `make` raises, and DataError where a process dies.
    """
    if workers <= 1:
        yield from map(make, todo)
        return
    context = multiprocessing.get_context("spawn")  # forking a process that has threads may hang
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker)
    waiting: deque[Future[R]] = deque()
    try:
        for each in todo:
            waiting.append(pool.submit(make, each))
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
