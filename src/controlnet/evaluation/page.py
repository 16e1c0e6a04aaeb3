"""The page of an evaluation: tables, drawings, pictures side by side, and what everything means."""

from collections.abc import Iterator, Sequence
from typing import Final

from PIL import Image

from controlnet.evaluation.metric import Pixels
from controlnet.evaluation.plots import COLOURS, Bar, bars, curves, in_order
from controlnet.evaluation.report import Page
from controlnet.evaluation.results import Report, Row, Section, overview, published, table

DASHES: Final = {"none": "2 4", "insufficient": "9 4 2 4", "conflicting": "7 5"}
LARGEST: Final = 192  # side of a picture in the grid, in pixels


def page_of(report: Report) -> Page:
    """Build the page."""
    count = max((row.pictures for section in report.sections for row in section.rows), default=0)
    lead = f"Is the control obeyed, is the picture good, is the prompt heard? {count} pictures of each kind."
    page = Page(report.title, lead)
    if len(report.sections) > 1:
        page.heading("Adherence under every condition").table(*overview(report.sections))
    for section in report.sections:
        _add(page, section)
    page.heading("How it was made")
    for note in report.notes:
        page.text(note)
    page.table(["setting", ""], [[key, str(value)] for key, value in report.settings.items()])
    return page


def _add(page: Page, section: Section) -> None:
    page.heading(f"Under the condition {section.condition}")
    page.table(*table(section))
    page.text(
        "Values with their 95 % intervals over pictures, by bootstrap; “of” tells how many pictures have "
        "anything to tell where not all have. Closed: how much of the way adherence has come from that of "
        "the prompt alone to that of the true pictures through the autoencoder and back, the ceiling."
    )
    if section.published:
        page.text("Published, on the original data:")
        page.table(*published(section))
    if section.grid:
        heads = ["condition", "true picture", *(row.label for row in section.rows)]
        rows = [(text, [(_small(pixels), note) for pixels, note in cells]) for text, cells in section.grid]
        told = (
            f"One example in each row, one first noise for all that is sampled. Numbers: {section.adherence}."
        )
        page.gallery(heads, rows, told)
    page.drawings([*_values(section), *_single(section)], least=480)


def _values(section: Section) -> Iterator[tuple[str, str]]:
    """Yield a drawing for each metric, with what it means."""
    colours = _colours(section.rows)
    for name, about in section.metrics.items():
        rows = [
            Bar(row.label, row.measures[name].value, row.measures[name].interval, colours[row.subject])
            for row in section.rows
            if name in row.measures
        ]
        better = "higher is better" if about.higher_is_better else "lower is better"
        yield bars(f"{name}: {about.unit}; {better}", rows), f"{about.title}. {about.says}"


def _single(section: Section) -> Iterator[tuple[str, str]]:
    """Yield a drawing of the single pictures' adherence, where they have any."""
    colours = _colours(section.rows)
    told = [
        in_order(
            row.label,
            row.measures[section.adherence].scores,
            colours[row.subject],
            DASHES.get(row.prompt, ""),
        )
        for row in section.rows
        if section.adherence in row.measures and row.measures[section.adherence].scores
    ]
    if told:
        yield (
            curves(f"{section.adherence} of single pictures, in their order", "share of pictures, %", told),
            "How the mean comes about: a flat curve is a set of pictures alike, a steep one has failures.",
        )


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    names = list(dict.fromkeys(row.subject for row in rows))
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def _small(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(pixels)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return image
