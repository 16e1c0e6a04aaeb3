"""Ctrl-C and SIGTERM: noted while a run works, obeyed between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether somebody has asked the run to end, and how."""

    def __init__(self) -> None:
        self.by: str | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; the second Ctrl-C does not wait (states on disk are whole at any moment)."""
        if self.by is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.by = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Note SIGINT and SIGTERM within the block; only in the main thread, as Python allows no other."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
