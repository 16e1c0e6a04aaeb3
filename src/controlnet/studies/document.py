"""What is told of a study, put into a document of others' words: between two marks, made anew each time."""

import json
import re
from pathlib import Path

from controlnet.errors import SettingError
from controlnet.files import whole
from controlnet.studies.outcome import Outcome
from controlnet.studies.picture import picture
from controlnet.studies.places import Places
from controlnet.studies.table import table


def tell(outcome: Outcome, places: Places) -> str:
    """Write results.json, table.md and the picture into the study's folder, and return the table."""
    folder, text = places.told(outcome.study.name), table(outcome)
    with whole(folder / "results.json") as part:
        part.write_text(json.dumps(outcome.record(), indent=1) + "\n", encoding="utf-8")
    with whole(folder / "table.md") as part:
        part.write_text(text, encoding="utf-8")
    _draw(outcome, folder / "curves.png")
    return text


def write_into(document: Path, outcome: Outcome, command: str) -> None:
    """Put heading, claim, table and picture between the study's marks in a document, or at its end.

    What stands outside the marks is left as it is. The picture goes to pictures/ beside the document. Raises
    SettingError for a document with one mark alone.
    """
    study = outcome.study
    begin, end = f"<!-- study {study.name} -->", f"<!-- end of study {study.name} -->"
    shown = document.parent / "pictures" / f"study_{study.name}.png"
    parts = [begin, f"`{command}`", table(outcome).rstrip()]
    if _draw(outcome, shown):
        parts.append(f"![{study.title}: curves over steps](pictures/{shown.name})")
    block = "\n\n".join([*parts, end])
    before = document.read_text(encoding="utf-8") if document.exists() else ""
    if (begin in before) != (end in before):
        raise SettingError(f"{document} has one of the two marks of {study.name}; restore the other, {end}")
    if begin in before:
        after = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: block, before, flags=re.DOTALL)
    else:
        after = f"{before.rstrip()}\n\n## {study.title}\n\n{study.claim}\n\n{block}\n".lstrip()
    with whole(document) as part:
        part.write_text(after, encoding="utf-8")


def _draw(outcome: Outcome, path: Path) -> bool:
    drawn = picture(outcome)
    if drawn is not None:
        with whole(path) as part:
            drawn.quantize(64).save(part, format="PNG", optimize=True)
    return drawn is not None
