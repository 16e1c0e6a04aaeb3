"""What the library says while a command works: on stderr, one line for each message."""

import logging
import sys
from typing import TextIO


class _Plain(logging.Formatter):
    """Bare text for what is merely told; the level before what is not."""

    def format(self, record: logging.LogRecord) -> str:
        told = super().format(record)
        return told if record.levelno <= logging.INFO else f"{record.levelname.lower()}: {told}"


class _ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what stderr is by then: a progress bar takes its place and puts lines above itself."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def configure(verbose: bool, quiet: bool) -> None:
    """Show this package's log: all of it, what is worth telling (the default), or only warnings."""
    logger = logging.getLogger("controlnet")
    handler = _ToStderr()
    handler.setFormatter(_Plain("%(name)s: %(message)s" if verbose else "%(message)s"))
    logger.handlers = [handler]
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
