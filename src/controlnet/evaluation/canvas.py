"""What a chart is drawn on: the same five strokes as SVG and as a picture."""

from collections.abc import Sequence
from html import escape
from typing import Final, Literal, Protocol

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]

# The page's colours by daylight (evaluation/report.py); an SVG on the page takes the page's own.
INK: Final = {
    "paper": "#fcfcfa",
    "ink": "#1c1e21",
    "muted": "#62676e",
    "rule": "#dcdcd6",
    "one": "#0b62c4",
    "two": "#c2410c",
    "three": "#15803d",
    "four": "#be185d",
    "mark": "#9333ea",
}
SIZE: Final = 14  # of text, in pixels
SCALE: Final = 2  # pixels of a picture for each of the drawing: sharp on today's screens


class Canvas(Protocol):
    """Takes lines, bands, dots and text; colours are names of `INK`."""

    def line(self, points: Sequence[Point], colour: str, width: float = 1, dashes: str = "") -> None:
        """Draw a line through points; dashes: lengths of strokes and gaps in turn, such as "5 4"."""
        ...

    def band(self, points: Sequence[Point], colour: str) -> None:
        """Fill an outline, pale."""
        ...

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """Draw a disc."""
        ...

    def text(self, x: float, y: float, text: str, colour: str, anchor: Anchor, bold: bool = False) -> None:
        """Write a line of text on the baseline y."""
        ...


class Svg:
    """An SVG element with the page's colours."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._head = (
            f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" font-size="{SIZE}">'
        )
        self._parts: list[str] = []

    def line(self, points: Sequence[Point], colour: str, width: float = 1, dashes: str = "") -> None:
        """Draw a line through points."""
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        self._parts.append(
            f'<polyline points="{_spelt(points)}" fill="none" stroke="var(--{colour})" stroke-width="{width}"'
            f' stroke-linejoin="round"{dash}/>'
        )

    def band(self, points: Sequence[Point], colour: str) -> None:
        """Fill an outline, pale."""
        self._parts.append(f'<polygon points="{_spelt(points)}" fill="var(--{colour})" fill-opacity="0.18"/>')

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """Draw a disc."""
        self._parts.append(
            f'<circle cx="{centre[0]:.1f}" cy="{centre[1]:.1f}" r="{radius}" fill="var(--{colour})"/>'
        )

    def text(self, x: float, y: float, text: str, colour: str, anchor: Anchor, bold: bool = False) -> None:
        """Write a line of text on the baseline y."""
        weight = ' font-weight="600"' if bold else ""
        if colour == "mark":  # stands among the curves
            weight += ' stroke="var(--paper)" stroke-width="4" paint-order="stroke"'
        place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
        self._parts.append(f'<text {place} fill="var(--{colour})"{weight}>{escape(text)}</text>')

    def element(self) -> str:
        """Return the finished element."""
        return "".join([self._head, *self._parts, "</svg>"])


class Picture:
    """A picture by daylight, `SCALE` times as many pixels as the drawing."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (width * SCALE, height * SCALE), INK["paper"])
        self._draw = ImageDraw.Draw(self.image)
        self._font = ImageFont.load_default(SIZE * SCALE)

    def line(self, points: Sequence[Point], colour: str, width: float = 1, dashes: str = "") -> None:
        """Draw a line through points; a dashed one is straight, with dashes of one length."""
        pixels = [(x * SCALE, y * SCALE) for x, y in points]
        pieces = _dashes(pixels[0], pixels[-1]) if dashes else [pixels]
        for piece in pieces:
            self._draw.line(piece, fill=INK[colour], width=round(width * SCALE), joint="curve")

    def band(self, points: Sequence[Point], colour: str) -> None:
        """Fill an outline, pale."""
        pale = Image.new("L", self.image.size, 0)
        ImageDraw.Draw(pale).polygon([(x * SCALE, y * SCALE) for x, y in points], fill=46)
        self.image.paste(INK[colour], (0, 0, *self.image.size), pale)

    def dot(self, centre: Point, radius: float, colour: str) -> None:
        """Draw a disc."""
        self._draw.circle((centre[0] * SCALE, centre[1] * SCALE), radius * SCALE, fill=INK[colour])

    def text(self, x: float, y: float, text: str, colour: str, anchor: Anchor, bold: bool = False) -> None:
        """Write a line of text on the baseline y."""
        where = {"start": "ls", "middle": "ms", "end": "rs"}[anchor]
        stroke = SCALE * 0.25 if bold else 0
        self._draw.text(
            (x * SCALE, y * SCALE), text, fill=INK[colour], font=self._font, anchor=where, stroke_width=stroke
        )


def _spelt(points: Sequence[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _dashes(start: Point, end: Point, on: float = 10, off: float = 8) -> list[list[Point]]:
    """Cut a straight line into dashes."""
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1e-6)

    def at(along: float) -> Point:
        share = min(along, length) / length
        return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])

    count = int(length / (on + off)) + 1
    return [[at(number * (on + off)), at(number * (on + off) + on)] for number in range(count)]
