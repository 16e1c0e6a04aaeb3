"""What the page of a run shows: how far it is, its figures, curves and pictures, its plan, its last words."""

import base64
import io
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from typing import Final, Literal

from PIL import Image

from controlnet.evaluation.canvas import Svg
from controlnet.evaluation.chart import Chart, Frame, Level, Panel, Series, draw
from controlnet.evaluation.report import Page
from controlnet.training.bands import NAMES
from controlnet.training.curves import Curve
from controlnet.training.plan import TrainingPlan

REFRESH: Final = 30  # seconds
SHEETS: Final = 8  # contact sheets on the page, denser at first
SHEET_WIDTH: Final = 1024
NARROW: Final = Frame(width=480, left=72, right=30, top=4, gap=0, bottom=30, panel=200, across=5)
LABELLED: Final = replace(NARROW, right=92)
STYLE: Final = """<style>
.far { height: 6px; border-radius: 3px; background: var(--panel); margin: 1rem 0 1.5rem; overflow: hidden; }
.far div { height: 100%; background: var(--one); }
.why { border-left: 3px solid var(--two); padding: .1rem 0 .1rem .9rem; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
.tiles div { background: var(--panel); border-radius: 8px; padding: .7rem .9rem; }
.tiles b { display: block; font-size: 1.3rem; font-weight: 600; font-variant-numeric: tabular-nums; }
.tiles span { color: var(--muted); font-size: .85rem; display: block; line-height: 1.35; }
.curves { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: 1.5rem 1.75rem; }
.curves figure { margin: 0; }
.curves figcaption { font-size: .85rem; margin-top: .2rem; }
.sheets figure { margin: 0 0 1.5rem; }
.sheets figcaption { margin: 0 0 .35rem; color: var(--ink); font-size: .95rem; }
details { margin: 2.5rem 0 0; }
summary { cursor: pointer; font-size: 1.2rem; font-weight: 600; }
.foot { color: var(--muted); font-size: .85rem; margin-top: 3rem; }
</style>"""


@dataclass
class Seen:
    """What is known of a run: `ended` and `why` once it has, `seconds` of work, its curves by name."""

    plan: TrainingPlan
    step: int = 0
    steps: int = 0
    seconds: float = 0.0
    arrived: int | None = None
    ended: Literal["complete", "stopped"] | None = None
    why: str = ""
    state: Path | None = None
    curves: defaultdict[str, Curve] = field(default_factory=lambda: defaultdict(Curve))
    previews: dict[int, Path] = field(default_factory=dict[int, Path])
    encoded: dict[int, str] = field(default_factory=dict[int, str])


def written(seen: Seen) -> Page:
    """Write the page of what is known now."""
    page = Page(seen.plan.name, _status(seen), refresh=None if seen.ended else REFRESH)
    page.block(STYLE)
    page.block(
        f'<div class="far"><div style="width: {100 * seen.step / max(1, seen.steps):.1f}%"></div></div>'
    )
    if seen.why:
        page.block(f'<p class="why">{escape(seen.why)}</p>')
    tiles = "".join(
        f"<div><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(more)}</span></div>"
        for name, value, more in _figures(seen)
    )
    page.block(f'<div class="tiles">{tiles}</div>')
    drawn = "".join(_figure(panel, about, seen) for panel, about in _panels(seen))
    if drawn:
        page.heading("Curves").block(f'<div class="curves">{drawn}</div>')
    if seen.previews:
        page.heading("Held-out samples")
        page.text("From above: condition, sample, and the true picture; always of the same noise.")
        page.block(f'<div class="sheets">{_sheets(seen)}</div>')
    plan = escape(seen.plan.to_yaml())
    page.block(f"<details><summary>Plan</summary><pre>{plan}</pre></details>")
    now = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
    again = "" if seen.ended else f" While the run goes, the page loads itself anew every {REFRESH} s."
    return page.block(f'<p class="foot">Written at {now} UTC, after step {seen.step}.{again}</p>')


def _status(seen: Seen) -> str:
    if seen.ended == "complete":
        return f"Complete: {seen.steps:,} steps in {told(seen.seconds)} of work."
    far = f"step {seen.step:,} of {seen.steps:,}"
    if seen.ended == "stopped":
        return f"Stopped after {far}, {told(seen.seconds)} of work."
    pace = _pace(seen)
    left = "" if pace is None else f", about {told(pace * (seen.steps - seen.step))} left"
    return f"Running: {far}{left}."


def _figures(seen: Seen) -> list[tuple[str, str, str]]:
    """Give name, value and a word on it of each figure there is."""
    curves, found = seen.curves, list[tuple[str, str, str]]()
    if curves["loss"]:
        found.append(("Loss", f"{curves['loss'].smooth()[-1][1]:.4f}", "running mean"))
    if (gain := curves["gain"].last) is not None:
        error, held_out = curves["gain_error"].last or 0.0, curves["held_out_loss"].last or 0.0
        found.append(("Control gain", f"{gain:+.4f}", f"± {error:.4f}, of a loss of {held_out:.4f}"))
    if (score := curves["adherence"].last) is not None:
        base = curves["adherence_of_base"].last or 0.0
        found.append(("Adherence", f"{score:.3f}", f"{seen.plan.watch.adherence}; base alone {base:.3f}"))
    if curves["gain"] or curves["adherence"]:
        arrived = "not yet" if seen.arrived is None else f"step {seen.arrived:,}"
        found.append(
            ("Control arrived", arrived, "by gain" + (" and adherence" if curves["adherence"] else ""))
        )
    if pace := _pace(seen):
        batch = seen.plan.optim.batch * seen.plan.optim.accumulation
        found.append(("Rate", f"{1 / pace:.3g} steps/s", f"{batch / pace:.3g} pictures/s"))
    if seen.state is not None:
        found.append(("Last state", f"step {int(seen.state.name[5:]):,}", f"state/{seen.state.name}"))
    return found


def _panels(seen: Seen) -> list[tuple[Panel, str]]:
    """Give each panel with what is to be said of it."""
    curves = seen.curves
    raw = Series("", curves["loss"].points, colour="muted", width=0.6)
    bands = [Series(_band(n), curves[name].smooth()) for n, name in enumerate(NAMES) if curves[name]]
    gain = Series("", curves["gain"].points, [error for _, error in curves["gain_error"].points], dots=True)
    scores = Series("", curves["adherence"].points, dots=True)
    base = curves["adherence_of_base"].last
    levels = [] if base is None else [Level("base alone", base)]
    pace = [(step, 1 / seconds) for step, seconds in curves["seconds"].points if seconds > 0]
    return [
        (panel, about)
        for panel, about in (
            (
                Panel("Loss", [raw, Series("", curves["loss"].smooth(), colour="one")]),
                "Noise and timesteps move it; it hardly shows when control arrives.",
            ),
            (
                Panel("Loss by band of timesteps", bands),
                "Quarters of the schedule, from the least noise (1) to the most (4).",
            ),
            (
                Panel("Control gain", [gain]),
                "Loss with shuffled conditions minus loss with the true ones, with its standard error.",
            ),
            (
                Panel("Held-out loss", [Series("", curves["held_out_loss"].points, dots=True)]),
                "With the true conditions.",
            ),
            (
                Panel("Adherence", [scores], levels),
                f"{seen.plan.watch.adherence} of held-out samples.",
            ),
            (Panel("Learning rate", [Series("", curves["lr"].points)]), "Of the copy."),
            (Panel("Norm of the gradient", [Series("", curves["grad_norm"].points)]), "Before clipping."),
            (Panel("Steps per second", [Series("", pace)]), "Measurements, previews and states included."),
        )
        if any(series.points for series in panel.series)
    ]


def _band(number: int) -> str:
    return f"band {number + 1}"


def _figure(panel: Panel, about: str, seen: Seen) -> str:
    marks = [] if seen.arrived is None else [(float(seen.arrived), "arrived")]
    labelled = panel.levels or any(series.label for series in panel.series)
    frame = LABELLED if labelled else NARROW
    chart = Chart([panel], "", marks, frame, until=seen.step)
    canvas = Svg(frame.width, chart.height, f"{panel.title} over the steps")
    draw(chart, canvas)
    return f"<figure>{canvas.element()}<figcaption>{escape(about)}</figcaption></figure>"


def _sheets(seen: Seen) -> str:
    """Give the chosen contact sheets, the newest first, each encoded once."""
    chosen = shown(sorted(seen.previews), SHEETS)
    seen.encoded = {step: seen.encoded.get(step) or _encoded(seen.previews[step]) for step in chosen}
    return "".join(
        f'<figure><figcaption>Step {step:,}</figcaption><div class="wide">'
        f'<img src="data:image/jpeg;base64,{seen.encoded[step]}" alt="held-out samples after step {step}" '
        f'style="min-width: 38rem"></div></figure>'
        for step in reversed(chosen)
        if seen.encoded[step]
    )


def shown(steps: Sequence[int], most: int) -> list[int]:
    """Choose at most so many of sorted steps, denser at first, first and last among them."""
    if len(steps) <= most:
        return list(steps)
    last = len(steps) - 1
    places = [round(last * (number / (most - 1)) ** 1.5) for number in range(most)]
    return [steps[max(place, number)] for number, place in enumerate(places)]


def _encoded(path: Path) -> str:
    """Return a contact sheet as base64 of a JPEG of modest size, "" where it is gone."""
    file = io.BytesIO()
    try:
        with Image.open(path) as sheet:
            small = sheet.convert("RGB")
    except OSError:
        return ""
    small.thumbnail((SHEET_WIDTH, 4 * SHEET_WIDTH))
    small.save(file, format="JPEG", quality=85)
    return base64.b64encode(file.getvalue()).decode()


def _pace(seen: Seen) -> float | None:
    """Return the seconds of a step, lately."""
    smooth = seen.curves["seconds"].smooth()
    return smooth[-1][1] if smooth and smooth[-1][1] > 0 else None


def told(seconds: float) -> str:
    """Tell a time as people do."""
    hours, minutes = divmod(round(seconds / 60), 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
