"""What a client is told of an error: its own mistakes in full, the server's without its places and traces."""

import logging

from controlnet.errors import (
    CheckpointError,
    ControlNetError,
    DataError,
    MissingExtra,
    MissingWeights,
    SettingError,
    ShapeError,
)

log = logging.getLogger(__name__)

_MISTAKES = (SettingError, DataError, ShapeError)


def told(error: Exception) -> tuple[str, str, bool, bool]:
    """Return kind, message, whether the request was to blame, and whether memory ran out."""
    kind = type(error).__name__
    if isinstance(error, _MISTAKES):
        return kind, str(error), True, False
    if isinstance(error, MissingWeights | MissingExtra):
        log.error("%s", error)
        # The rest tells of folders of this machine.
        message = f"{str(error).split(' are not here')[0]} are not on this server"
        return kind, message if isinstance(error, MissingWeights) else str(error), True, False
    if isinstance(error, CheckpointError):
        return kind, str(error), True, False
    if isinstance(error, ControlNetError):
        return kind, str(error), False, False
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError":
        log.error("memory ran out: %s", error)
        return "OutOfMemory", "memory ran out; ask for a smaller size or fewer pictures", False, True
    log.exception("a job failed", exc_info=error)
    return "Unexpected", f"unexpected {kind}; the server's log tells where", False, False
