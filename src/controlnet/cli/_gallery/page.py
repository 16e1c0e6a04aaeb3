"""The gallery as one sheet and as a page."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from controlnet.cli._demo.sheets import LINE, MARGIN, SMALL, SPACE, Column, Row, sheet
from controlnet.cli._gallery.maps import Shown
from controlnet.cli._gallery.subjects import Group, square
from controlnet.conditions._image import Pixels
from controlnet.evaluation.canvas import INK
from controlnet.evaluation.report import Page

STRIP: Final = 180  # height of a map on the page, in pixels
HIGHEST: Final = 8  # conditions in a column of the sheet
LEAST: Final = 760  # a strip narrower than this cannot be read: it scrolls


def draw_sheet(shown: Sequence[Shown], side: int) -> Image.Image:
    """Draw all maps on one sheet, a row for each condition; those without maps are named at its foot."""
    drawn = [one for one in shown if one.maps]
    largest_first = [group for group, _ in Counter(one.group for one in drawn).most_common()]
    blocks = [
        _block(part, side)
        for group in largest_first
        for part in _even([one for one in drawn if one.group is group], HIGHEST)
    ]
    told = {
        "Their weights are not on this machine": [one.name for one in shown if one.absent],
        "They cannot run here": [one.name for one in shown if one.failed],
    }
    notes = [f"{what}: {', '.join(names)}." for what, names in told.items() if names]
    return _laid_out(blocks, notes)


def few_colours(sheet: Image.Image) -> Image.Image:
    """Return the sheet in 256 colours, a third as large a file; the page has the maps in their own colours.

    The octree keeps the rare, vivid colours of poses and classes, which the median cut gives up.
    """
    palette = sheet.quantize(256, method=Image.Quantize.FASTOCTREE)
    return sheet.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)


def write_page(path: Path, shown: Sequence[Shown], command: str) -> None:
    """Write the page: the pictures, then every condition with its maps or the reason why there are none."""
    page = Page("Conditions", "A condition turns a picture into a control map: each on the same pictures.")
    before: Group | None = None
    for family, members in groupby(shown, key=lambda one: one.detector.family):
        page.heading(family.capitalize())
        for one in members:
            if one.maps and one.group is not before:
                before, names = one.group, ", ".join(subject.name for subject in one.group.subjects)
                pixels = [subject.pixels for subject in before.subjects]
                page.picture(_strip(pixels), names, f"{before.title.capitalize()}: {names}.", LEAST)
            _add(page, one)
    _add_absent(page, [one for one in shown if one.absent])
    page.heading("How it was made")
    page.commands([command])
    page.write(path)


def _add(page: Page, one: Shown) -> None:
    kind = type(one.detector)
    others = f" Also: {', '.join(kind.aliases)}." if kind.aliases else ""
    facts = f"Source: {kind.paper}. Licence: {kind.licence}.{others}"
    if one.maps:
        page.text(f"{one.name}: {kind.title}")
        page.picture(_strip(one.maps), f"maps of {one.name}", facts, LEAST)
    else:
        why = "Its weights are not on this machine: see below." if one.absent else f"No maps: {one.failed}."
        page.text(f"{one.name}: {kind.title}. {why}{others}")


def _add_absent(page: Page, absent: Sequence[Shown]) -> None:
    """Add what is lacking and how to get it."""
    if not absent:
        return
    page.heading("Weights that are not on this machine")
    page.text("Nothing is fetched unasked; these commands bring what the conditions without maps need.")
    needed = {weights: one.name for one in absent for weights in one.detector.weights}
    rows = [(name, w.name, f"{w.megabytes:g} MB", w.licence) for w, name in needed.items()]
    page.table(["condition", "weights", "size", "licence"], rows)
    page.commands([f"controlnet weights fetch {weights.name}" for weights in needed])


def _even(shown: Sequence[Shown], most: int) -> list[Sequence[Shown]]:
    """Cut a list into as few parts as needed, of about equal length."""
    parts = -(-len(shown) // most)
    length = -(-len(shown) // parts)
    return [shown[start : start + length] for start in range(0, len(shown), length)]


def _block(shown: Sequence[Shown], side: int) -> Image.Image:
    """Draw the pictures and a row for each condition; all have the same pictures."""
    group = shown[0].group
    room = len(group.subjects) * (side + SPACE) - SPACE
    rows = [Row(group.title, [_thumbnail(subject.pixels, side) for subject in group.subjects])]
    rows += [
        Row(_cut(f"{one.name}: {one.detector.title}", room), [_thumbnail(p, side) for p in one.maps])
        for one in shown
    ]
    return sheet([Column(subject.name) for subject in group.subjects], rows, side)


def _strip(pictures: Sequence[Pixels]) -> Image.Image:
    """Lay pictures of one height side by side; the page shows through between them."""
    sizes = [(max(1, round(p.shape[1] * STRIP / p.shape[0])), STRIP) for p in pictures]
    strip = Image.new("RGBA", (sum(width for width, _ in sizes) + SPACE * (len(sizes) - 1), STRIP))
    left = 0
    for pixels, size in zip(pictures, sizes, strict=True):
        strip.paste(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS), (left, 0))
        left += size[0] + SPACE
    return strip


def _thumbnail(pixels: Pixels, side: int) -> Image.Image:
    return Image.fromarray(square(pixels)).resize((side, side), Image.Resampling.LANCZOS)


def _cut(text: str, room: float) -> str:
    """Shorten a line of text to so many pixels, at the end of a word."""
    font = ImageFont.load_default(SMALL)
    if font.getlength(text) <= room:
        return text
    words = text.split()
    while len(words) > 1 and font.getlength(" ".join(words) + " …") > room:
        words.pop()
    return " ".join(words) + " …"


def _laid_out(blocks: Sequence[Image.Image], notes: Sequence[str]) -> Image.Image:
    """Lay blocks out in columns no higher than the highest block, and lines of text below them."""
    highest = max([block.height for block in blocks], default=0)
    places: list[tuple[int, int]] = []
    left = top = widest = 0
    for block in blocks:
        if top and top + block.height > highest:
            left, top, widest = left + widest, 0, 0
        places.append((left, top))
        top, widest = top + block.height, max(widest, block.width)
    width = max(left + widest, 400)
    font, line = ImageFont.load_default(SMALL), round(SMALL * LINE)
    letters = int((width - 2 * MARGIN) / font.getlength("abcdefghij_,") * 12)
    lines = [text for note in notes for text in textwrap.wrap(note, letters)]
    below = MARGIN + len(lines) * line if lines else 0
    canvas = Image.new("RGB", (width, highest + below), INK["paper"])
    for block, place in zip(blocks, places, strict=True):
        canvas.paste(block, place)
    pen = ImageDraw.Draw(canvas)
    for number, text in enumerate(lines):
        pen.text((MARGIN, highest + number * line), text, INK["muted"], font)
    return canvas
