"""Make the pictures of the page in docs/, of a service that runs.

python -m tests.web.screenshots http://127.0.0.1:7860/ docs/pictures
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.web.chromium import Page, program
from tests.web.test_browser import generate, named, put

CANVAS = "document.querySelector('.unit canvas.pad')"
CUBE = [(0.1, 0.36), (0.42, 0.36), (0.42, 0.8), (0.1, 0.8), (0.1, 0.36)]
CONE = [(0.74, 0.38), (0.9, 0.76), (0.58, 0.76), (0.74, 0.38)]


def seen(page: Page, selector: str | None = None) -> Image.Image:
    """Return what is seen, after bringing an element to the top."""
    if selector:
        page.run(
            f"(() => {{const one = document.querySelector({selector!r});"
            "scrollBy({top: one.getBoundingClientRect().top - 96, behavior: 'instant'})})()"
        )
    page.run("new Promise(done => setTimeout(done, 400))")
    return Image.open(io.BytesIO(page.picture())).convert("RGB")


def main(address: str, folder: Path) -> None:
    """Draw, generate, pose and compare, and keep what is seen."""
    executable = program()
    assert executable is not None, "no Chromium is here"
    with tempfile.TemporaryDirectory() as profile:
        page = Page(executable, Path(profile))
        page.look(1280, 860)
        page.open(address)
        page.until("document.body?.dataset.ready")
        put(page, "Prompt", "a red cube and a yellow cone on a grass floor under a sunset sky")
        page.click(named("Draw"))
        for way in (CUBE, CONE):
            page.drag([page.place(CANVAS, *place) for place in way])
        generate(page)
        seen(page, ".unit").save(folder / "page.png", optimize=True)

        page.look(390, 844, dark=True)
        phones = [seen(page, "#stage")]
        page.run("document.getElementById('tab-poses').click()")
        pose = "document.getElementById('pose')"
        for way in (
            [(0.345, 0.5), (0.25, 0.22)],
            [(0.625, 0.385), (0.68, 0.2)],
            [(0.655, 0.5), (0.72, 0.06)],
        ):
            page.drag([page.place(pose, *place) for place in way])
        page.run("scrollTo(0, 0)")
        phones.append(seen(page))
        page.run("document.getElementById('tab-compare').click()")
        put(page, "Rows", "weight")
        put(page, "Columns", "seed")
        page.click(named("Compare", "document.getElementById('compare')"))
        page.until("document.querySelectorAll('.cell img').length === 9")
        page.until("!document.querySelector('.progress:not([hidden])')")
        phones.append(seen(page, ".sheet"))
        page.close()
    sheet = Image.new("RGB", (3 * 390 + 2 * 24, 844), "white")
    for place, phone in enumerate(phones):
        sheet.paste(phone, (place * 414, 0))
    sheet.save(folder / "page_phone.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
