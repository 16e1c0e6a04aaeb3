"""The page as a person uses it, in a browser: it draws, generates, poses, compares, keeps what was made."""

import json
import threading

import pytest

from controlnet.api.app import build
from controlnet.api.policy import Policy
from controlnet.api.server import Server, listen
from controlnet.service import Catalog, Engine
from controlnet.web import router
from tests.web.chromium import Page, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium is here"),
]

MADE = "document.querySelector('#stage:not([aria-busy]) figure img')"


def named(text: str, within: str = "document") -> str:
    """Say how to find the button in sight that is called so."""
    return (
        f"[...{within}.querySelectorAll('button')].find(one => one.textContent === {json.dumps(text)}"
        " && one.offsetParent !== null)"
    )


def put(page: Page, label: str, value: object) -> None:
    """Write into the field with a label."""
    page.run(
        f"(() => {{const label = [...document.querySelectorAll('label')].find(one => "
        f"one.textContent === {json.dumps(label)} && one.offsetParent !== null);"
        f"const input = document.getElementById(label.htmlFor); input.value = {json.dumps(value)};"
        "for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, {bubbles: true}))})()"
    )


def generate(page: Page) -> str:
    """Generate by the keyboard, and return a new picture's address."""
    before = page.run(f"{MADE}?.src ?? ''")
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key="Enter", modifiers=2)
    return page.until(f"{MADE}?.complete && {MADE}.src !== {before!r} && {MADE}.src")


def light(page: Page, address: str) -> list[float]:
    """Return the lightness of a picture's four quarters."""
    return page.run(
        f"(async () => {{const image = new Image(); image.src = {json.dumps(address)}; await image.decode();"
        "const made = document.createElement('canvas'); made.width = made.height = 2;"
        "const context = made.getContext('2d'); context.imageSmoothingQuality = 'high';"
        "context.drawImage(image, 0, 0, 2, 2);"
        "return [0, 4, 8, 12].map(at => context.getImageData(0, 0, 2, 2).data[at + 1])})()"
    )


def pixels(page: Page, one: str, other: str) -> float:
    """Return the mean difference of two pictures."""
    return page.run(
        f"(async () => {{{read_both(one, other)}"
        "return a.data.reduce((sum, value, at) => sum + Math.abs(value - b.data[at]), 0) / a.data.length})()"
    )


def read_both(one: str, other: str) -> str:
    """Return a script's line that reads two pictures as ImageData a and b."""
    return (
        f"const [a, b] = await Promise.all({json.dumps([one, other])}.map(async source => {{"
        "const image = new Image(); image.src = source; await image.decode();"
        "const made = document.createElement('canvas');"
        "[made.width, made.height] = [image.width, image.height];"
        "const context = made.getContext('2d'); context.drawImage(image, 0, 0);"
        "return context.getImageData(0, 0, made.width, made.height)}));"
    )


def test_what_is_drawn_changes_the_picture(page: Page):
    put(page, "Steps", "4")
    page.click(named("Draw"))
    canvas = "document.querySelector('.unit canvas.pad')"
    assert page.run(f"!!{canvas}")
    page.click(named("Brush"))

    def box(left: float, top: float, right: float, bottom: float) -> None:
        corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        page.drag([page.place(canvas, x, y) for x, y in corners])

    box(0.1, 0.3, 0.45, 0.8)
    first = generate(page)
    again = generate(page)
    assert pixels(page, first, again) == 0  # one seed, one drawing: one picture
    page.click(named("Clear"))
    box(0.55, 0.3, 0.9, 0.8)
    second = generate(page)
    assert pixels(page, first, second) > 2
    page.click(named("Undo"))
    page.click(named("Undo"))
    assert pixels(page, first, generate(page)) == 0
    page.click(named("Eraser"))
    assert page.run(f"{named('Eraser')}.getAttribute('aria-pressed')") == "true"

    page.click("document.getElementById('tab-gallery')")
    page.until("document.querySelectorAll('.thumb').length === 4")
    page.run("document.querySelector('.thumb').click()")
    assert "4, dpm++2m" in page.run("document.querySelector('dialog').innerText")
    page.click(named("Use these settings"))
    assert page.run("!document.getElementById('generate').hidden")
    assert pixels(page, first, generate(page)) == 0


def test_a_pose_is_dragged_and_drawn_as_the_condition_draws_it(page: Page):
    page.click("document.getElementById('tab-poses')")
    canvas = "document.getElementById('pose')"
    page.click(named("Add a person"))
    assert "Person 2 of 2" in page.run("document.querySelector('#poses [role=status]').textContent")
    page.click(named("Undo"))
    page.drag([page.place(canvas, 0.345, 0.5), page.place(canvas, 0.3, 0.3), page.place(canvas, 0.2, 0.1)])
    assert "right wrist" in page.run("document.querySelector('#poses [role=status]').textContent")
    page.click(named("Use it in Generate"))
    page.until("document.querySelectorAll('.unit').length === 2")
    assert page.run("[...document.querySelectorAll('.unit')][1].querySelector('select').value") == "openpose"
    drawn = page.run("[...document.querySelectorAll('.unit')][1].querySelector('.well img').src")
    hand = page.run(
        "(async () => {const {draw, standing} = await import('/assets/people.js');"
        "const [body] = [standing(128, 128)]; Object.assign(body.body[4], {x: 25.6, y: 12.8});"
        "const made = document.createElement('canvas'); made.width = made.height = 128;"
        "const context = made.getContext('2d'); context.fillRect(0, 0, 128, 128);"
        "draw(context, [body], 128, 128); return made.toDataURL()})()"
    )
    assert pixels(page, drawn, hand) < 2
    blank = page.run("(() => {const c = document.createElement('canvas'); c.width = c.height = 128;"
                     "c.getContext('2d').fillRect(0, 0, 128, 128); return c.toDataURL()})()")  # fmt: skip
    assert pixels(page, drawn, blank) > 2


def test_settings_are_kept_under_a_name(page: Page):
    page.run("document.querySelector('details.fold').open = true")
    put(page, "Prompt", "a white torus")
    page.click(named("Save these settings"))
    page.until("document.querySelector('.banner')?.innerText.includes('no name')")
    put(page, "Save as", "mine")
    page.click(named("Save these settings"))
    page.until("document.getElementById('presets').value === 'mine'")
    for name, prompt in (("Example", "a blue cylinder"), ("mine", "a white torus")):
        put(page, "Use", name)
        page.until(f"document.querySelector('textarea').value.startsWith({prompt!r})")
    page.click(named("Delete the chosen one"))
    page.until("![...document.getElementById('presets').options].some(one => one.value === 'mine')")


def test_a_picture_is_pasted_and_its_map_is_seen(page: Page):
    page.click("document.getElementById('tab-annotate')")
    page.run(
        "(async () => {const made = document.createElement('canvas'); made.width = made.height = 96;"
        "const context = made.getContext('2d'); context.fillStyle = '#fff'; context.fillRect(20, 20, 50, 50);"
        "const blob = await new Promise(done => made.toBlob(done));"
        "const clipboardData = new DataTransfer();"
        "clipboardData.items.add(new File([blob], 'a.png', {type: blob.type}));"
        "dispatchEvent(new ClipboardEvent('paste', {clipboardData, cancelable: true}))})()"
    )
    map_ = "document.querySelector('#annotate .map img')"
    first = page.until(f"!{map_}.hidden && {map_}.src")
    assert page.run(f"[{map_}.naturalWidth, {map_}.naturalHeight]") == [96, 96]
    put(page, "Condition", "blur")
    page.until(f"{map_}.src !== {json.dumps(first)}")


def test_poses_come_from_json_and_go_to_it(page: Page):
    told = page.run(
        "(async () => {const {fromJSON, toJSON, standing} = await import('/assets/people.js');"
        "const body = standing(256, 128, 0.3); body.body[4].on = false;"
        "const text = JSON.stringify(toJSON([body, standing(256, 128, 0.7)], 256, 128));"
        "const read = fromJSON(text);"
        "const bad = ['{', '{}', '{\"people\": [{\"pose_keypoints_2d\": [1]}]}'].map(one => {"
        "  try {fromJSON(one)} catch (error) {return error.message}});"
        "return [text === JSON.stringify(toJSON(read.people, read.width, read.height)), bad]})()"
    )
    assert told[0] is True
    assert "no JSON" in told[1][0] and "people" in told[1][1] and "wanted 18 or 25" in told[1][2]


def test_a_grid_of_seeds_and_what_goes_wrong_is_told(page: Page):
    put(page, "Steps", "2")
    page.click("document.getElementById('tab-compare')")
    put(page, "Values", "none, 9")
    page.click(named("Compare", "document.getElementById('compare')"))
    banner = page.until("document.querySelector('.banner')?.innerText")
    assert 'there is no control 9; wanted "none", "all" or 1 to 1' in banner
    put(page, "Values", "none, all")
    page.click(named("Compare", "document.getElementById('compare')"))
    page.until("document.querySelectorAll('.cell img').length === 6")
    assert page.run("!document.querySelector('.banner')")
    one, *_, other = page.run("[...document.querySelectorAll('.cell img')].map(one => one.src)")
    assert pixels(page, one, other) > 2


def test_a_job_is_cancelled_and_the_services_errors_are_shown(page: Page):
    put(page, "Steps", "60")
    put(page, "Pictures", "8")
    page.click("document.getElementById('go')")
    page.until("document.querySelector('#generate [role=status]').textContent.startsWith('step')")
    page.click(named("Cancel"))
    page.until("!document.getElementById('go').disabled")
    assert page.run(f"!{MADE} && !document.querySelector('.banner')")
    put(page, "Width", "100000")
    page.click("document.getElementById('go')")
    assert "width is 100000" in page.until("document.querySelector('.banner')?.innerText")
    put(page, "Width", "64")
    page.click(named("Empty"))
    page.click("document.getElementById('go')")
    page.until("document.querySelector('.banner')?.innerText.includes('Control 1 has no picture')")
    page.trouble.clear()  # the browser itself notes an answer of 422


def test_it_is_readable_on_a_telephone_and_drawn_on_by_finger(page: Page):
    page.look(390, 844, dark=True, touch=True)
    for tab in ("poses", "annotate", "compare", "gallery", "generate"):
        page.run(f"document.getElementById('tab-{tab}').click()")
        assert page.run("document.documentElement.scrollWidth") <= 390
    page.run(f"{named('Draw')}.click()")
    canvas = "document.querySelector('.unit canvas.pad')"
    before = page.run(f"{canvas}.toDataURL()")
    places = [page.place(canvas, 0.2, 0.2), page.place(canvas, 0.8, 0.8)]
    for kind, points in [("touchStart", places[:1]), ("touchMove", places[1:]), ("touchEnd", [])]:
        page.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y} for x, y in points])
    page.until(f"{canvas}.toDataURL() !== {json.dumps(before)}", 10)


def test_a_service_with_a_token_asks_for_it(tmp_path):
    engine = Engine(Catalog.of())
    token = "a token that is long enough"
    opened = listen("127.0.0.1", 0)
    app = build(engine, Policy(token=token), owns_engine=False, further=[router()])
    server = Server(app, engine, drain=0)
    serving = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    serving.start()
    executable = program()
    assert executable is not None
    page = Page(executable, tmp_path)
    try:
        page.open(f"http://127.0.0.1:{opened.getsockname()[1]}/")
        page.until("!!document.querySelector('.gate')")
        put(page, "Token of this service", "a wrong one")
        page.click(named("Enter"))
        page.until("document.querySelector('.banner')?.innerText.includes('the token is wrong')")
        put(page, "Token of this service", token)
        page.click(named("Enter"))
        page.until("document.body?.dataset.ready")
    finally:
        page.close()
        server.should_exit = True
        serving.join(60)
        opened.close()
