"""Two drawings for a report, as SVG in the page's colours: values with intervals, and scores in order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from controlnet.evaluation.results import number

WIDTH: Final = 640
LABELS: Final = 210  # room for the names on the left
RIGHT: Final = 76  # and for the values on the right
ROW: Final = 30
COLOURS: Final = ("one", "two", "three", "mark", "ink")


@dataclass(frozen=True)
class Bar:
    """A value with its interval, and which of the page's colours it has."""

    label: str
    value: float
    interval: tuple[float, float] | None
    colour: str


@dataclass(frozen=True)
class Curve:
    """The scores of single pictures; dashes as SVG has them, for curves of one colour."""

    label: str
    scores: Sequence[float]
    colour: str
    dashes: str = ""


def bars(title: str, rows: Sequence[Bar]) -> str:
    """Draw values as dots with whiskers, a line for each; what is NaN is left out."""
    shown = [row for row in rows if math.isfinite(row.value)]
    ends = [0.0, *(bound for row in shown for bound in (row.value, *(row.interval or ())))]
    low, high = min(ends), max(ends)
    high = high if high > low else low + 1.0
    height = 34 + ROW * len(shown) + 26

    def across(value: float) -> float:
        return LABELS + (value - low) / (high - low) * (WIDTH - LABELS - RIGHT)

    parts = [_text(0, 14, title, "ink", "start", bold=True)]
    bottom = 34 + ROW * len(shown)
    for tick in ticks(low, high):
        x = across(tick)
        parts.append(_line(x, 28, x, bottom, "rule"))
        parts.append(_text(x, bottom + 18, f"{tick:g}", "muted", "middle"))
    for place, row in enumerate(shown):
        y = 34 + ROW * place + ROW / 2
        parts.append(_text(LABELS - 14, y + 5, row.label, "ink", "end"))
        if row.interval is not None:
            left, right = (across(bound) for bound in row.interval)
            parts.append(_line(left, y, right, y, row.colour, 3, opacity=0.45))
        parts.append(f'<circle cx="{across(row.value):.1f}" cy="{y:.1f}" r="5" fill="var(--{row.colour})"/>')
        parts.append(_text(WIDTH - RIGHT + 16, y + 5, number(row.value), "ink", "start"))
    return _svg(height, title, parts)


def curves(title: str, axis: str, rows: Sequence[Curve]) -> str:
    """Draw the scores of each row's pictures from the least to the greatest, over the share of pictures."""
    shown = [
        (row, sorted(score for score in row.scores if math.isfinite(score)))
        for row in rows
        if any(math.isfinite(score) for score in row.scores)
    ]
    ends = [score for _, scores in shown for score in scores]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    high = high if high > low else low + 1.0
    left, top, bottom, right = 54, 34, 290, WIDTH - 200

    def place(share: float, score: float) -> str:
        x = left + share * (right - left)
        return f"{x:.1f},{bottom - (score - low) / (high - low) * (bottom - top):.1f}"

    parts = [_text(0, 14, title, "ink", "start", bold=True)]
    for tick in ticks(low, high):
        y = bottom - (tick - low) / (high - low) * (bottom - top)
        parts += [_line(left, y, right, y, "rule"), _text(left - 10, y + 5, f"{tick:g}", "muted", "end")]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(_text(left + share * (right - left), bottom + 20, f"{share:.0%}", "muted", "middle"))
    parts.append(_text((left + right) / 2, bottom + 42, axis, "muted", "middle"))
    labels: list[tuple[float, str, str]] = []
    for row, scores in shown:
        steps = [(n + 0.5) / len(scores) for n in range(len(scores))]
        points = " ".join(place(share, score) for share, score in zip(steps, scores, strict=True))
        colour = f"var(--{row.colour})"
        look = f'stroke="{colour}" stroke-width="2" stroke-dasharray="{row.dashes or "none"}"'
        parts.append(f'<polyline points="{points}" fill="none" {look}/>')
        labels.append((float(place(1, scores[-1]).partition(",")[2]), row.label, row.colour))
    for y, label, colour in _apart(labels, bottom):
        parts.append(_text(right + 12, y + 5, label, colour, "start"))
    return _svg(bottom + 52, title, parts)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round numbers within a range, at most `most` and one."""
    raw = (high - low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 10) for place in range(first, last + 1)]


def _apart(labels: list[tuple[float, str, str]], bottom: float) -> list[tuple[float, str, str]]:
    """Move labels so that none covers another, nor leaves the drawing below."""
    placed: list[tuple[float, str, str]] = []
    for y, label, colour in sorted(labels):
        placed.append((max(y, placed[-1][0] + 18) if placed else y, label, colour))
    above = max(0.0, placed[-1][0] - bottom) if placed else 0.0
    return [(y - above, label, colour) for y, label, colour in placed]


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}" font-size="14"'
    return f'{head} style="max-width: {WIDTH}px">{"".join(parts)}</svg>'


def _text(x: float, y: float, text: str, colour: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="var(--{colour})"{weight}>{escape(text)}</text>'


def _line(
    x: float, y: float, other_x: float, other_y: float, colour: str, width: float = 1, opacity: float = 1
) -> str:
    ends = f'x1="{x:.1f}" y1="{y:.1f}" x2="{other_x:.1f}" y2="{other_y:.1f}"'
    look = (
        f'stroke="var(--{colour})" stroke-width="{width}" stroke-opacity="{opacity}" stroke-linecap="round"'
    )
    return f"<line {ends} {look}/>"
