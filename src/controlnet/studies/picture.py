"""A study's outcome as a picture: the mean of each arm's curves, with the spread over seeds around it."""

import math
from collections.abc import Sequence
from typing import Final

from PIL import Image

from controlnet.evaluation.canvas import Picture
from controlnet.evaluation.chart import Chart, Frame, Level, Panel, Series, draw
from controlnet.evaluation.subjects import PROMPT_ONLY
from controlnet.studies.outcome import ArmOutcome, Outcome, Values, mean_curve
from controlnet.studies.study import CURVES, END, Moment

COLOURS: Final = ("one", "two", "three", "four", "mark", "ink")
FRAME: Final = Frame(right=210, panel=230)
TITLES: Final = {
    "gain": "control gain: loss with shuffled conditions less loss with the true ones",
    "adherence": "adherence of held-out samples while training",
    "held_out_loss": "loss on held-out scenes",
}


def picture(outcome: Outcome) -> Image.Image | None:
    """Draw the study's curves; None where there are none."""
    arms = [arm for arm in outcome.arms if arm.seeds]
    panels = [_panel(name, arms) for name in outcome.study.plot]
    panels = [panel for panel in panels if panel.series]
    if not panels:
        return None
    chart = Chart(panels, "training steps", frame=FRAME)
    canvas = Picture(FRAME.width, chart.height)
    draw(chart, canvas)
    return canvas.image


def _panel(name: str, arms: Sequence[ArmOutcome]) -> Panel:
    series = list[Series]()
    for number, arm in enumerate(arms):
        points = _recorded(arm, name) if name in CURVES else _measured(arm, name)
        if points:
            errors = [0.0 if math.isnan(values.spread) else values.spread for _, values in points]
            series.append(
                Series(
                    arm.name,
                    [(step, values.mean) for step, values in points],
                    errors if any(errors) else (),
                    dots=name not in CURVES or len(points) < 10,
                    colour=COLOURS[number % len(COLOURS)],
                )
            )
    return Panel(TITLES.get(name, name), series, _levels(name, arms) if series else ())


def _recorded(arm: ArmOutcome, name: str) -> list[tuple[float, Values]]:
    return list(mean_curve(arm.curves.get(name, [])))


def _measured(arm: ArmOutcome, metric: str) -> list[tuple[float, Values]]:
    """Return what was measured at each step, under the first prompt setting that tells of it."""
    prompt = next((p for values in arm.measured.values() for p, name in values if name == metric), "")
    found = [(_step(arm, at), arm.values(at, prompt, metric)) for at in arm.measured]
    return sorted((pair for pair in found if not math.isnan(pair[1].mean)), key=lambda pair: pair[0])


def _step(arm: ArmOutcome, at: Moment) -> float:
    return float(arm.steps or 0) if at == END else float(at)


def _levels(name: str, arms: Sequence[ArmOutcome]) -> Sequence[Level]:
    """Return what the base alone has, where it is the same for all arms."""
    if name == "adherence":
        alone = {curve[-1][1] for arm in arms for curve in arm.curves.get("adherence_of_base", []) if curve}
    elif name not in CURVES:
        tables = [arm.beside.get(PROMPT_ONLY, {}) for arm in arms]
        found = [each for values in tables for (_, metric), each in values.items() if metric == name]
        alone = {Values(each).mean for each in found}
    else:
        return ()
    return [Level("the base alone", value) for value in alone] if len(alone) == 1 else ()
