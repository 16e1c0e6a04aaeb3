"""Pictures to begin from and second passes, as a person asks for them in the page."""

import json

import pytest

from tests.web.chromium import Page, program
from tests.web.test_browser import MADE, generate, named, pixels, put, read_both

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium is here"),
]

FOLD = (
    "[...document.querySelectorAll('.fold')].find(one => one.querySelector('summary').textContent === '{}')"
)
BEGIN = FOLD.format("Begin from a picture")
SECOND = FOLD.format("Second pass")
START = f"{BEGIN}.querySelector('.well img')"
CANVAS = f"{BEGIN}.querySelector('canvas.pad')"


def changed(page: Page, one: str, other: str) -> list[float]:
    """Return how far two pictures differ at the most, in their left and their right halves."""
    return page.run(
        f"(async () => {{{read_both(one, other)}"
        "const most = [0, 0];"
        "a.data.forEach((value, at) => {const half = (at / 4) % a.width < a.width / 2 ? 0 : 1;"
        "most[half] = Math.max(most[half], Math.abs(value - b.data[at]))});"
        "return most})()"
    )


def test_a_part_of_a_result_is_painted_anew_and_the_rest_returns_to_the_bit(page: Page):
    put(page, "Steps", "4")
    first = generate(page)
    page.click(named("Start from it"))
    page.until(f"{BEGIN}.open && !{START}.hidden")
    assert changed(page, first, page.run(f"{START}.src")) == [0, 0]

    put(page, "Strength", "0.9")
    page.click(named("Remove"))  # the control, which would hold the picture
    page.click(named("Paint a mask", BEGIN))
    page.until(f"!!{CANVAS}")
    for down in (0.1, 0.35, 0.6, 0.9):
        page.drag([page.place(CANVAS, 0.7, down), page.place(CANVAS, 0.9, down)])
    put(page, "Prompt", "a red sphere")
    kept, painted = changed(page, first, generate(page))
    assert kept == 0 and painted > 20
    page.click(named("No mask"))
    assert all(half > 20 for half in changed(page, first, generate(page)))

    # The gallery makes it again, mask and all, and gives its pictures to begin from.
    page.click("document.getElementById('tab-gallery')")
    page.until("document.querySelectorAll('.thumb').length === 3")
    page.run("document.querySelectorAll('.thumb')[1].click()")
    assert "strength 0.9, a part of it" in page.run("document.querySelector('dialog').innerText")
    page.click(named("Use these settings"))
    page.until(f"!!{CANVAS}")
    assert changed(page, first, generate(page))[0] == 0
    page.click("document.getElementById('tab-gallery')")
    page.until("document.querySelectorAll('.thumb').length === 4")
    page.run("[...document.querySelectorAll('.thumb')].at(-1).click()")
    page.click(named("Start from it"))
    page.until(f"!document.getElementById('generate').hidden && !{CANVAS}")
    assert changed(page, first, page.run(f"{START}.src")) == [0, 0]


def test_a_picture_is_dropped_and_the_size_takes_its_shape(page: Page):
    page.run(f"{BEGIN}.open = true")
    page.run(
        "(async () => {const made = document.createElement('canvas'); made.width = 192; made.height = 96;"
        "made.getContext('2d').fillRect(20, 20, 50, 50);"
        "const blob = await new Promise(done => made.toBlob(done)); const dataTransfer = new DataTransfer();"
        "dataTransfer.items.add(new File([blob], 'a.png', {type: blob.type}));"
        f"{BEGIN}.querySelector('.well').dispatchEvent(new DragEvent('drop', {{dataTransfer}}))}})()"
    )
    page.until(f"!{START}.hidden")
    page.click(named("Take its shape"))
    sizes = "['Width', 'Height'].map(text => Number(document.getElementById([...document.querySelectorAll("
    sizes += "'#generate label')].find(one => one.textContent === text).htmlFor).value))"
    width, height = page.until(f"(() => {{const size = {sizes}; return size[0] > size[1] && size}})()")
    assert width == 2 * height
    page.click(named("Empty", BEGIN))
    assert page.run(f"{START}.hidden")


def test_a_second_pass_is_asked_for(page: Page):
    put(page, "Steps", "2")
    put(page, "Width", "64")
    put(page, "Height", "64")
    assert page.run(f"!{SECOND}.open")
    page.run(f"{SECOND}.open = true")
    page.click(f"{SECOND}.querySelector('input[type=checkbox]')")
    put(page, "Scale", "3")
    put(page, "Its strength", "0.5")
    first = generate(page)
    assert page.run(f"[{MADE}.naturalWidth, {MADE}.naturalHeight]") == [192, 192]
    page.click(named("Keep seed"))
    assert pixels(page, first, generate(page)) == 0
    page.click("document.getElementById('tab-gallery')")
    page.until("document.querySelectorAll('.thumb').length === 2")
    page.run("document.querySelector('.thumb').click()")
    assert "× 3, strength 0.5, lanczos" in page.run("document.querySelector('dialog').innerText")
    page.click(named("Start from it"))
    page.until(f"!{START}.hidden")
    assert page.run(f"!{SECOND}.querySelector('input').checked")  # it begins from a picture now
    page.click(f"(({SECOND}).open = true, {SECOND}.querySelector('input[type=checkbox]'))")
    page.click("document.getElementById('go')")
    page.until("document.querySelector('.banner')?.innerText.includes('second and image are both given')")
    page.trouble.clear()  # the browser itself notes an answer of 422


def test_it_is_readable_on_a_telephone_and_masked_by_finger(page: Page):
    page.look(390, 844, dark=True, touch=True)
    page.run(f"{BEGIN}.open = {SECOND}.open = true")
    page.run(f"{SECOND}.querySelector('input').click()")
    put(page, "Steps", "1")
    page.run(f"{SECOND}.querySelector('input').click()")
    generate(page)
    page.run(f"{named('Start from it')}.click()")
    page.until(f"!{START}.hidden")
    page.run(f"{named('Paint a mask', BEGIN)}.click()")
    before = page.until(f"{CANVAS}?.toDataURL()")
    places = [page.place(CANVAS, 0.2, 0.2), page.place(CANVAS, 0.8, 0.8)]
    for kind, points in [("touchStart", places[:1]), ("touchMove", places[1:]), ("touchEnd", [])]:
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])
    page.until(f"{CANVAS}.toDataURL() !== {json.dumps(before)}", 10)
    assert page.run("document.documentElement.scrollWidth") <= 390
