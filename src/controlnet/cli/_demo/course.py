"""The training in the demo: an ordinary run, told while it goes and looked at afterwards."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from controlnet.evaluation.chart import Chart, Level, Panel, Series
from controlnet.training.events import Event
from controlnet.training.folder import RunFolder


class Narrator:
    """Tells each measurement of the adherence in a line, as a listener of the run."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say, self._gain = say, ""

    def __call__(self, event: Event) -> None:
        """Take note of an event, and tell it where it is worth a line."""
        if event.kind == "begin" and event.step:
            self._say(f"      goes on after step {event.step} of {event.steps}")
        if event.kind != "step":
            return
        if "gain" in event.record:
            self._gain = f"   control gain {event.record['gain']:+.5f}"
        if "adherence" in event.record:
            self._say(f"      step {event.step:>5}   edge F1 {event.record['adherence']:.3f}{self._gain}")


@dataclass(frozen=True)
class Course:
    """What a finished run has left in its folder: its measurements, its pictures on the way, its result."""

    records: Sequence[dict[str, Any]]
    previews: dict[int, Path]
    result: dict[str, Any]

    @classmethod
    def of(cls, root: Path) -> "Course":
        """Read a run's folder."""
        folder = RunFolder(root)
        lines = folder.metrics.read_text(encoding="utf-8").splitlines()
        records = [record for record in map(json.loads, lines) if "event" not in record]
        found = sorted((root / "previews").glob("step-*.png"))
        previews = {int(path.stem.removeprefix("step-")): path for path in found}
        return cls(records, previews, json.loads(folder.result.read_text(encoding="utf-8")))

    def measured(self, name: str) -> list[tuple[float, float]]:
        """Give (step, value) of each measurement of a name."""
        return [(record["step"], record[name]) for record in self.records if name in record]

    def pictures(self, step: int) -> list[Image.Image]:
        """Cut the samples of a step out of its preview: a column for each, of condition, sample, truth."""
        with Image.open(self.previews[step]) as preview:
            side = preview.height // 3
            lefts = range(0, preview.width, side)
            return [preview.crop((left, side, left + side, 2 * side)).convert("RGB") for left in lefts]

    def shown(self, most: int) -> list[int]:
        """Choose at most so many of the steps with pictures, denser at first, the last one among them."""
        steps = list(self.previews)
        if len(steps) <= most:
            return steps
        places = [round(len(steps) * ((number + 1) / most) ** 1.5) - 1 for number in range(most)]
        return [steps[max(place, number)] for number, place in enumerate(places)]

    def chart(self, prompt_only: float, levels: Sequence[Level]) -> Chart:
        """Draw adherence and control gain over the steps, with the step at which control arrived."""
        adherence = [(0.0, prompt_only), *self.measured("adherence")]
        gains = [record for record in self.records if "gain" in record]
        gain = Series("control gain", self.measured("gain"), [record["gain_error"] for record in gains])
        arrived = self.result["arrived_at"]
        return Chart(
            panels=[
                Panel(
                    "Adherence: edge F1 of held-out samples",
                    [Series("trained here", adherence, dots=True)],
                    levels,
                ),
                Panel("Control gain: loss with shuffled conditions minus loss with the true ones", [gain]),
            ],
            axis="training steps",
            marks=[] if arrived is None else [(arrived, f"control arrives: step {arrived}")],
        )
