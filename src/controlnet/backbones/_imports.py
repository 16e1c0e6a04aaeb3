"""Imports of the large libraries that networks come from."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Pause Python's cycle collector while importing, and leave it as it was found.

    diffusers, with the parts of torch and transformers that it imports, makes some 1,500 modules, all of
    which stay. The collector walks through them again and again, finds nothing, and takes a quarter of the
    time; with the pause it does so once, afterwards.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
