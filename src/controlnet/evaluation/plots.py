"""Two drawings for a report, as SVG in the page's colours: values with intervals, and scores in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

from controlnet.evaluation.canvas import Svg
from controlnet.evaluation.chart import Chart, Frame, Panel, Series, draw, ticks
from controlnet.evaluation.results import number

WIDTH: Final = 640
LABELS: Final = 210  # room for the names on the left
RIGHT: Final = 76  # and for the values on the right
TOP: Final = 34
ROW: Final = 30
COLOURS: Final = ("one", "two", "three", "mark", "ink")
FRAME: Final = Frame(width=WIDTH, left=54, right=200, top=8, panel=282, across=5)


@dataclass(frozen=True)
class Bar:
    """A value with its interval, and which of the page's colours it has."""

    label: str
    value: float
    interval: tuple[float, float] | None
    colour: str


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Draw values as dots with whiskers, a line for each; what is NaN is left out."""
    shown = [row for row in rows if isfinite(row.value)]
    ends = [0.0, *(bound for row in shown for bound in (row.value, *(row.interval or ())))]
    low, high = min(ends), max(ends)
    high = high if high > low else low + 1.0
    bottom = TOP + ROW * len(shown)
    canvas = Svg(WIDTH, bottom + 26, title)

    def across(value: float) -> float:
        return LABELS + (value - low) / (high - low) * (WIDTH - LABELS - RIGHT)

    canvas.text(0, 14, title, "ink", "start", bold=True)
    for tick in ticks(low, high, 5):
        canvas.line([(across(tick), 28), (across(tick), bottom)], "rule")
        canvas.text(across(tick), bottom + 18, f"{tick:g}", "muted", "middle")
    for place, row in enumerate(shown):
        y = TOP + ROW * place + ROW / 2
        canvas.text(LABELS - 14, y + 5, row.label, "ink", "end")
        if row.interval is not None:
            canvas.line([(across(bound), y) for bound in row.interval], row.colour, 3)
        canvas.dot((across(row.value), y), 5, row.colour)
        canvas.text(WIDTH - RIGHT + 16, y + 5, number(row.value), "ink", "start")
    return canvas.element()


def in_order(label: str, scores: Sequence[float], colour: str, dashes: str = "") -> Series:
    """Make a curve of the scores of single pictures, from the least to the greatest, over their share."""
    found = sorted(score for score in scores if isfinite(score))
    points = [((place + 0.5) / len(found) * 100, score) for place, score in enumerate(found)]
    return Series(label, points, colour=colour, dashes=dashes)


def curves(title: str, axis: str, rows: Sequence[Series]) -> str:
    """Draw curves over an axis in percent."""
    chart = Chart([Panel(title, [row for row in rows if row.points])], axis, frame=FRAME, until=100)
    canvas = Svg(FRAME.width, chart.height, title)
    draw(chart, canvas)
    return canvas.element()
