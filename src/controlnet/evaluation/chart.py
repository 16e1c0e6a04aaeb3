"""Curves over steps, laid out once and drawn twice: as SVG in the page's colours, and as a PNG.

Positions are in pixels of a picture as wide as its frame says, y downwards.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from math import ceil, floor, log10
from typing import Final

from controlnet.evaluation.canvas import Canvas

WIDTH: Final = 960
ROW: Final = 19  # least distance between two labels on the right
COLOURS: Final = ("one", "two", "three", "four")
DASHED: Final = "5 4"


@dataclass(frozen=True)
class Frame:
    """Measures of a chart: its width, the margins around its panels, the gap between them, their height."""

    width: int = WIDTH
    left: int = 64
    right: int = 168
    top: int = 16
    gap: int = 54
    bottom: int = 52
    panel: int = 210
    across: int = 8
    """At most so many ticks on the common axis."""


@dataclass(frozen=True)
class Series:
    """One curve: points (x, y), and the standard error of each y where it is known.

    colour: its name in the page's colours; by default the next of `COLOURS`.
    """

    label: str
    points: Sequence[tuple[float, float]]
    errors: Sequence[float] = ()
    dots: bool = False
    colour: str | None = None
    width: float = 2
    dashes: str = ""


@dataclass(frozen=True)
class Level:
    """A horizontal line to compare with."""

    label: str
    value: float


@dataclass(frozen=True)
class Panel:
    """Curves and levels over one axis; several panels share the steps."""

    title: str
    series: Sequence[Series]
    levels: Sequence[Level] = ()


@dataclass(frozen=True)
class Chart:
    """Panels one below the other, the name of their common axis, and steps (x, label) marked in all."""

    panels: Sequence[Panel]
    axis: str
    marks: Sequence[tuple[float, str]] = ()
    frame: Frame = Frame()
    until: float = 0.0
    """A step that the axis reaches at least."""

    @property
    def height(self) -> int:
        """Height in pixels."""
        frame = self.frame
        return frame.top + len(self.panels) * (frame.panel + frame.gap) - frame.gap + frame.bottom

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last step; never the same."""
        xs = [x for panel in self.panels for series in panel.series for x, _ in series.points] or [0.0]
        low, high = min(0.0, *xs), max(self.until, *xs)
        return low, high if high > low else low + 1.0


def draw(chart: Chart, canvas: Canvas) -> None:
    """Draw a chart."""
    low, high = chart.span
    frame = chart.frame
    across = _Scale(low, high, frame.left, frame.width - frame.right)
    bottom = frame.top + frame.panel
    for number, panel in enumerate(chart.panels):
        top = frame.top + number * (frame.panel + frame.gap)
        bottom = top + frame.panel
        _panel(panel, canvas, across, top + 26, bottom)
        for x, _ in chart.marks:
            canvas.line([(across(x), top + 26), (across(x), bottom)], "mark", dashes=DASHED)
    for x in ticks(low, high, frame.across):
        canvas.text(across(x), bottom + 20, _number(x), "muted", "middle")
    middle = (across.start + across.end) / 2
    if chart.axis:
        canvas.text(middle, bottom + 42, chart.axis, "muted", "middle")
    for x, label in chart.marks:
        on_the_left = across(x) < middle
        canvas.text(
            across(x) + (8 if on_the_left else -8),
            frame.top + frame.panel - 10,
            label,
            "mark",
            "start" if on_the_left else "end",
        )


def ticks(low: float, high: float, most: int) -> list[float]:
    """Choose round numbers, at most `most`, that lie within a range and hold zero if the range does."""
    raw = (high - low) / most
    power = 10.0 ** floor(log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(number * step, 10) for number in range(first, last + 1)]


def _panel(panel: Panel, canvas: Canvas, across: "_Scale", top: float, bottom: float) -> None:
    low, high = _range(panel)
    up = _Scale(low, high, bottom, top)
    left, right = across.start, across.end
    canvas.text(left, top - 12, panel.title, "ink", "start", bold=True)
    for y in ticks(low, high, 5):
        canvas.line([(left, up(y)), (right, up(y))], "rule")
        canvas.text(left - 10, up(y) + 5, _number(y), "muted", "end")
    for level in panel.levels:
        canvas.line([(left, up(level.value)), (right, up(level.value))], "muted", dashes=DASHED)
    ends = [(up(level.value), level.label, "muted") for level in panel.levels]
    for series, following in zip(panel.series, cycle(COLOURS)):
        colour = series.colour or following
        points = [(across(x), up(y)) for x, y in series.points]
        if series.errors:
            pairs = list(zip(series.points, series.errors, strict=True))
            edge = [(across(x), up(y + error)) for (x, y), error in pairs]
            edge += [(across(x), up(y - error)) for (x, y), error in reversed(pairs)]
            canvas.band(edge, colour)
        canvas.line(points, colour, series.width, series.dashes)
        for point in points if series.dots else []:
            canvas.dot(point, 3.5, colour)
        if points and series.label:
            ends.append((points[-1][1], series.label, colour))
    for y, label, colour in _apart(sorted(ends), bottom):
        canvas.text(right + 10, y + 5, label, colour, "start")


def _range(panel: Panel) -> tuple[float, float]:
    ys = [level.value for level in panel.levels]
    for series in panel.series:
        errors = series.errors or [0.0] * len(series.points)
        ys += [
            y + side * error for (_, y), error in zip(series.points, errors, strict=True) for side in (-1, 1)
        ]
    low, high = min([0.0, *ys]), max([0.0, *ys])
    room = 0.06 * (high - low) or 1.0
    return low - (room if low < 0 else 0.0), high + room


def _apart(ends: list[tuple[float, str, str]], bottom: float) -> list[tuple[float, str, str]]:
    """Move labels, sorted by height, so that none covers another or leaves its panel."""
    places: list[float] = []
    for y, _, _ in ends:
        places.append(max(y, places[-1] + ROW) if places else y)
    floor_ = bottom
    for number in reversed(range(len(places))):
        places[number] = min(places[number], floor_)
        floor_ = places[number] - ROW
    return [(place, label, colour) for place, (_, label, colour) in zip(places, ends, strict=True)]


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) and abs(value) >= 1 else f"{value:.6g}"
