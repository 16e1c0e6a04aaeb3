"""The page of a run, index.html in its folder: written as the run goes, to be opened in any browser.

A listener like any other. It reads what the run has recorded when it begins, follows the events from then
on, and writes the page anew when the run ends and whenever its turn comes: never more often than every
`EVERY` seconds, nor so often that writing takes more than a hundredth of the time. A page that cannot be
written is told once and holds nothing up.
"""

import json
import logging
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from controlnet.errors import SettingError
from controlnet.training.bands import NAMES
from controlnet.training.events import Event
from controlnet.training.folder import RunFolder
from controlnet.training.page_view import Seen, written
from controlnet.training.plan import TrainingPlan

log = logging.getLogger(__name__)

EVERY: Final = 10.0
SHARE: Final = 0.01
DRAWN: Final = (
    *("loss", *NAMES, "lr", "grad_norm", "held_out_loss", "gain", "gain_error"),
    *("adherence", "adherence_of_base"),
)


class RunPage:
    """Keeps the page of a run up to date."""

    def __init__(self, plan: TrainingPlan, folder: RunFolder) -> None:
        self._folder = folder
        self._seen = Seen(plan)
        self._began = time.monotonic()
        self._next = 0.0
        self._failed = False
        self._last = (0, 0.0)

    def __call__(self, event: Event) -> None:
        """Take an event in, and write the page where it is time to."""
        seen = self._seen
        if event.kind == "cache":
            return
        seen.step, seen.steps = event.step, event.steps
        if event.kind == "begin":
            self._read(event)
        elif event.kind == "step":
            self._step(event.record, time.monotonic() - self._began)
        elif event.kind == "arrival":
            seen.arrived = event.record["arrived_at"]
        elif event.kind == "preview" and event.path is not None:
            seen.previews[event.step] = event.path
        elif event.kind == "save" and event.path is not None:
            seen.state = event.path
        elif event.kind == "end":
            seen.ended = "complete"
        elif event.kind == "stop":
            seen.ended, seen.why = "stopped", event.record["why"]
        seen.seconds = time.monotonic() - self._began
        if event.kind in ("begin", "end", "stop") or time.monotonic() >= self._next:
            self._write()

    def _read(self, event: Event) -> None:
        """Take in what the run has recorded before it was resumed."""
        self._began = time.monotonic()
        if not event.step:
            return
        seconds = {line["step"]: line["seconds"] for line in _lines(self._folder.timing)}
        for record in _lines(self._folder.metrics):
            if "event" not in record:
                self._step(record, seconds.get(record["step"], self._last[1]))
            elif "arrived_at" in record:
                self._seen.arrived = record["arrived_at"]
        self._began -= self._last[1]
        for path in sorted((self._folder.root / "previews").glob("step-*.png")):
            step = int(path.stem.removeprefix("step-"))
            if step <= event.step:
                self._seen.previews[step] = path

    def _step(self, record: Mapping[str, Any], seconds: float) -> None:
        step, curves = record["step"], self._seen.curves
        for name in DRAWN:
            if record.get(name) is not None:
                curves[name].add(step, record[name])
        before, then = self._last
        if step > before:
            curves["seconds"].add(step, max(0.0, seconds - then) / (step - before))
        self._last = step, seconds

    def _write(self) -> None:
        began = time.monotonic()
        try:
            written(self._seen).write(self._folder.page)
        except (OSError, SettingError) as error:
            if not self._failed:
                log.warning("the page of the run cannot be written (%s)", error)
            self._failed = True
        ended = time.monotonic()
        self._next = ended + max(EVERY, (ended - began) / SHARE)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open(encoding="utf-8") as file:
            yield from map(json.loads, file)
