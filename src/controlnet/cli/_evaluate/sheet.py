"""`controlnet evaluate … --sheet FILE`: one picture of all conditions, a column each, on the same scenes."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from PIL import Image

from controlnet.cli._demo.sheets import Column, Row, sheet
from controlnet.cli._gallery.page import few_colours
from controlnet.files import whole

if TYPE_CHECKING:
    from controlnet.evaluation.results import Report, Section

EXAMPLES: Final = 2  # the first ones, whatever came of them
SIDE: Final = 128  # pixels of each picture: those of the embedded world as they are
BELOW: Final = "by the prompt alone; by each ControlNet, with its adherence"


def write_sheet(report: "Report", path: Path) -> None:
    """Draw, for each of the first examples, every condition's map and below it what came of it.

    On the left stand the true picture and, below, what the prompt alone gave; under the pictures their
    adherence. Of several ControlNets under one condition the first is shown.
    """
    sections = [section for section in report.sections if section.grid and _shown(section) is not None]
    columns = [Column("true picture", "below: prompt only")]
    columns += [Column(one.condition, one.adherence) for one in sections]
    rows: list[Row] = []
    for index in range(min([EXAMPLES, *(len(section.grid) for section in sections)])):
        caption, cells = sections[0].grid[index]
        maps, made, notes = [cells[1][0]], [cells[_alone(sections[0])][0]], [""]
        for section in sections:
            _, cells = section.grid[index]
            picture, note = cells[_shown(section) or 0]
            maps, made, notes = [*maps, cells[0][0]], [*made, picture], [*notes, note]
        rows.append(Row(f"“{caption}”", [Image.fromarray(pixels) for pixels in maps]))
        rows.append(Row(BELOW, [Image.fromarray(pixels) for pixels in made], notes))
    with whole(path) as part:
        few_colours(sheet(columns, rows, SIDE)).save(part, format="PNG", optimize=True)


def _shown(section: "Section") -> int | None:
    """Return the place, among an example's pictures, of the first ControlNet's; they follow map and truth."""
    return next((2 + place for place, row in enumerate(section.rows) if row.kind == "control"), None)


def _alone(section: "Section") -> int:
    """Return the place of what the prompt alone gave; of the true picture where it was not asked for."""
    return next((2 + place for place, row in enumerate(section.rows) if row.kind == "prompt only"), 1)
