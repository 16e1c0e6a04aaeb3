"""Contact sheets: labelled columns and captioned rows of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from controlnet.evaluation.canvas import INK

MARGIN: Final = 20
SPACE: Final = 6  # between two pictures
TEXT: Final = 14
SMALL: Final = 13
LINE: Final = 1.3  # heights of the text, from line to line


@dataclass(frozen=True)
class Column:
    """The head of a column: what it shows, and a second, quieter line."""

    title: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """A row of pictures, with a line above it and, where given, a text under each picture."""

    caption: str
    pictures: Sequence[Image.Image]
    notes: Sequence[str] = ()


def sheet(columns: Sequence[Column], rows: Sequence[Row], side: int) -> Image.Image:
    """Draw a sheet of pictures `side` pixels square; each row has as many as there are columns."""
    font, small = ImageFont.load_default(TEXT), ImageFont.load_default(SMALL)
    line, small_line = round(TEXT * LINE), round(SMALL * LINE)
    noted = [[_wrapped(text, small, side) for text in row.notes] for row in rows]
    head = 2 * line + 6
    heights = [
        line + 4 + side + max([len(note) for note in notes], default=0) * small_line + 16 for notes in noted
    ]
    width = 2 * MARGIN + len(columns) * (side + SPACE) - SPACE
    canvas = Image.new("RGB", (width, 2 * MARGIN + head + sum(heights) - 16), INK["paper"])
    draw = ImageDraw.Draw(canvas)
    lefts = [MARGIN + number * (side + SPACE) for number in range(len(columns))]
    for left, column in zip(lefts, columns, strict=True):
        draw.text((left, MARGIN), column.title, INK["ink"], font)
        draw.text((left, MARGIN + line), column.note, INK["muted"], small)
    top = MARGIN + head
    for row, notes, height in zip(rows, noted, heights, strict=True):
        draw.text((MARGIN, top), row.caption, INK["muted"], small)
        for left, picture in zip(lefts, row.pictures, strict=True):
            shown = (
                picture
                if picture.size == (side, side)
                else picture.resize((side, side), Image.Resampling.LANCZOS)
            )
            canvas.paste(shown, (left, top + line + 4))
        for left, words in zip(lefts[: len(notes)], notes, strict=True):
            for number, words_of_line in enumerate(words):
                draw.text(
                    (left, top + line + 4 + side + 3 + number * small_line),
                    words_of_line,
                    INK["muted"],
                    small,
                )
        top += height
    return canvas


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
