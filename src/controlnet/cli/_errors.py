"""Whatever goes wrong, once: the exit status and the one line on stderr.

0    done
1    the work failed or ended early: TrainingStopped (state saved), ServiceError, a lost connection, a bug
2    the user can mend it: wrong options, SettingError, DataError, CheckpointError, ShapeError,
     MissingExtra, MissingWeights, a full disk, a folder that cannot be written to
130  Ctrl-C
143  SIGTERM
"""

import signal
import threading
import traceback
from collections.abc import Callable
from types import FrameType

import typer

from controlnet.errors import (
    MENDABLE,
    ControlNetError,
)
from controlnet.files import UNWRITABLE

FAILED, MISTAKEN, INTERRUPTED, TERMINATED = 1, 2, 130, 143


def guarded(work: Callable[[], int | None], debug: Callable[[], bool]) -> int:
    """Do the work and return its exit status; an error becomes one line, with a traceback if `debug()`."""
    former = _exit_on_sigterm()
    try:
        status = work() or 0
        return _say("stopped", INTERRUPTED) if status == INTERRUPTED else status
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except KeyboardInterrupt:
        return _say("stopped", INTERRUPTED)
    except typer.Abort:
        return _say("stopped", FAILED)
    except Exception as error:  # whatever is left must not reach the user as a traceback
        if debug():
            traceback.print_exception(error)
        return _say(*_told(error))
    finally:
        if former is not None:
            signal.signal(signal.SIGTERM, former)


def _told(error: Exception) -> tuple[str, int]:
    """Return the line for an error and its exit status."""
    if isinstance(error, typer.TyperException):
        return _usage(error), MISTAKEN
    if isinstance(error, MENDABLE):
        return str(error), MISTAKEN
    if isinstance(error, ControlNetError):
        return str(error), FAILED
    if isinstance(error, OSError):
        status = MISTAKEN if error.errno in UNWRITABLE else FAILED
        return f"{error}; check the path, the rights and the free space", status
    what = f"{type(error).__name__}: {error}"
    return f"unexpected {what} (`controlnet --debug …` shows where)", FAILED


def _usage(error: typer.TyperException) -> str:
    if not error.format_message():
        return ""  # a bare `controlnet`: its help has been shown
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "controlnet")
    return f"{error.format_message().rstrip('.')}; see: {command} --help"


def _say(message: str, status: int) -> int:
    if message:
        typer.echo(f"controlnet: {' '.join(message.split())}", err=True)
    return status


def _exit_on_sigterm() -> signal.Handlers | Callable[[int, FrameType | None], object] | int | None:
    """Let SIGTERM unwind the stack, so that half-written files are removed; return the former handler."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        return None  # Python allows handlers nowhere else
    return signal.signal(signal.SIGTERM, leave)
