"""Telling listeners what happens in a run, its last words included, and turning a full disk into one line."""

import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from controlnet.errors import SettingError
from controlnet.files import UNWRITABLE
from controlnet.training.events import Event, Kind, Listener
from controlnet.training.folder import RunFolder
from controlnet.training.state import newest

if TYPE_CHECKING:
    from controlnet.core.controlnet import ControlNet

log = logging.getLogger(__name__)


class Teller:
    """Tells each listener in turn; `tell(kind, step, record, path)`, see `events`."""

    def __init__(self, listeners: Sequence[Listener], steps: int, net: "Callable[[], ControlNet]") -> None:
        """net: asked each time, since every phase has one of its own."""
        self._listeners, self._steps, self._net = listeners, steps, net
        self._step = 0

    def __call__(
        self, kind: Kind, step: int, record: Mapping[str, Any] | None = None, path: Path | None = None
    ) -> None:
        """Tell."""
        self._step = step
        for listener in self._listeners:
            listener(Event(kind, step, self._steps, self._net(), record or {}, path))

    @contextmanager
    def last_words(self, folder: RunFolder) -> Generator[None, None, None]:
        """Tell why the block ended early, if it does; SettingError where it could not write to the folder."""
        try:
            yield
        except BaseException as error:
            mendable = cannot_write(error, folder)
            self._stop(mendable or error)
            if mendable is not None:
                raise mendable from error
            raise

    def _stop(self, error: BaseException) -> None:
        why = " ".join(str(error).split()) or type(error).__name__
        for listener in self._listeners:
            try:
                listener(Event("stop", self._step, self._steps, self._net(), {"why": why}))
            except Exception as other:  # must not hide why the run ended
                log.warning("a listener could not be told of the end (%s)", other)


def cannot_write(error: BaseException, folder: RunFolder) -> SettingError | None:
    """Return the one line for an error that writing into the run's folder met: a full disk, lost rights."""
    cause = error.__cause__ if isinstance(error, SettingError) else error
    # safetensors has one error for all; what it cannot read is a CheckpointError before it comes here.
    if not isinstance(cause, SafetensorError) and getattr(cause, "errno", None) not in UNWRITABLE:
        return None
    what = getattr(cause, "strerror", None) or " ".join(str(cause).split())
    state = newest(folder.states)
    mend = "free some space there, or give back the right to write"
    if state is None:
        return SettingError(
            f"cannot write in {folder.root} ({what}); {mend}, and start again: no state was saved yet"
        )
    return SettingError(
        f"cannot write in {folder.root} ({what}); {mend}, and go on with: controlnet train {folder.plan} "
        f"--resume, from {state}"
    )
