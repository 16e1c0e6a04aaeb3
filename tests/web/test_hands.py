"""Hands and faces in the pose editor: kept from a file, moved with their person, mirrored, drawn, written."""

import base64
import io
import json

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image

from controlnet.conditions._keypoints import Person, Pose, from_json, to_json
from controlnet.conditions._pose import draw_pose
from tests.poses import standing
from tests.web.chromium import Page, program
from tests.web.test_browser import named

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason="no Chromium is here"),
]

LEFT_WRIST, RIGHT_WRIST, NOSE = 7, 4, 0
WORD = "document.querySelector('#poses [role=status]').textContent"


def spread(middle: np.ndarray, count: int, seed: int, reach: float) -> np.ndarray:
    places = middle[:2] + np.random.default_rng(seed).uniform(-reach, reach, (count, 2))
    return np.concatenate([places.round(1), np.ones((count, 1))], axis=1)


def someone() -> Pose:
    body = standing(100, 20, 460)
    left, right = (spread(body[wrist], 21, wrist, 30) for wrist in (LEFT_WRIST, RIGHT_WRIST))
    left[5] = 0  # a point that was not found
    face = spread(body[NOSE], 70, 1, 25)
    alone = Person(standing(300, 150, 200))
    return Pose((Person(body, left, right, face), alone), 512, 640)


def brought(page: Page, pose: Pose) -> None:
    """Import a pose as a file that the person has chosen."""
    page.run("document.getElementById('tab-poses').click()")
    page.run(
        "HTMLInputElement.prototype.click = function () {const made = new DataTransfer();"
        f"made.items.add(new File([{json.dumps(json.dumps(to_json(pose)))}], 'pose.json'));"
        "this.files = made.files; this.onchange()}"
    )
    page.click(named("Import JSON"))
    page.until(f"{WORD}.includes('of 2')")


def exported(page: Page) -> Pose:
    page.run(
        "window.saved = null; URL.createObjectURL = blob => (window.saved = blob, '');"
        "HTMLAnchorElement.prototype.click = () => {}"
    )
    page.click(named("Export JSON"))
    return from_json(json.loads(page.until("window.saved?.text()")))


def same(one: Pose, other: Pose) -> bool:
    pairs = [
        (a, b)
        for mine, theirs in zip(one.people, other.people, strict=True)
        for a, b in zip(mine.parts().values(), theirs.parts().values(), strict=True)
    ]
    return all((a is None and b is None) or np.allclose(a, b, atol=0.02) for a, b in pairs)


def seen(page: Page) -> np.ndarray:
    """Return what the page itself draws of the exported pose, at its own size."""
    source = page.run(
        "(async () => {const {draw, fromJSON} = await import('/assets/people.js');"
        "const {people, width, height} = fromJSON(await window.saved.text());"
        "const made = document.createElement('canvas'); [made.width, made.height] = [width, height];"
        "const context = made.getContext('2d'); context.fillRect(0, 0, width, height);"
        "draw(context, people, width, height); return made.toDataURL()})()"
    )
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).convert("RGB")).astype(
        int
    )


def test_they_come_from_a_file_and_go_back_into_one(page: Page):
    pose = someone()
    brought(page, pose)
    assert "Person 1 of 2, with hands and a face" in page.run(WORD)
    assert same(exported(page), pose)
    drawn = draw_pose(pose).astype(int)
    away = np.abs(seen(page) - drawn).max(axis=2)
    # The browser's edges are smooth: what counts is what is of one colour around it.
    around = sliding_window_view(np.pad(drawn, ((1, 1), (1, 1), (0, 0))), (3, 3), (0, 1))
    inside = (np.ptp(around, (3, 4)) == 0).all(2)
    for shown in (inside, inside & drawn.any(axis=2)):
        assert (away[shown] > 64).mean() < 0.02


def test_a_hand_goes_with_its_wrist_and_all_with_their_person(page: Page):
    pose = someone()
    brought(page, pose)
    canvas, wrist = "document.getElementById('pose')", pose.people[0].body[LEFT_WRIST]
    from_, to = ((wrist[0] + by) / 640 for by in (0, 64))
    page.drag([page.place(canvas, from_, wrist[1] / 512), page.place(canvas, to, wrist[1] / 512)])
    assert "left wrist" in page.run(WORD)
    after = exported(page)
    moved = [
        after.people[0].left_hand - pose.people[0].left_hand,
        after.people[0].body[LEFT_WRIST][None] - wrist,
    ]
    for part in moved:
        found = part[np.abs(part).sum(axis=1) > 0]
        assert len(found) in (1, 20) and np.allclose(found, (64, 0, 0), atol=2)
    assert np.allclose(after.people[0].right_hand, pose.people[0].right_hand)
    assert np.allclose(after.people[0].face, pose.people[0].face)

    page.click(named("Undo"))
    assert same(exported(page), pose)
    page.run(f"{canvas}.focus()")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", modifiers=8)
    whole = exported(page).people[0]
    for part, before in zip(whole.parts().values(), pose.people[0].parts().values(), strict=True):
        shown = before[:, 2] > 0
        assert np.allclose((part - before)[shown], (25.6, 0, 0), atol=0.1)


def test_a_mirror_trades_hands_and_the_sides_of_a_face(page: Page):
    pose = someone()
    brought(page, pose)
    page.click(named("Mirror"))
    turned, before = exported(page).people[0], pose.people[0]
    middle = turned.body[NOSE, 0] + before.body[NOSE, 0]

    def flipped(points: np.ndarray) -> np.ndarray:
        return np.where(points[:, 2:] > 0, np.abs(points - (middle, 0, 0)), 0)

    assert np.allclose(turned.left_hand, flipped(before.right_hand), atol=0.02)
    assert np.allclose(turned.right_hand, flipped(before.left_hand), atol=0.02)
    # Jaw, brows, bridge and tip of the nose, eyes and their lids, lips outside and inside, pupils.
    twins = [(0, 16), (8, 8), (17, 26), (30, 30), (31, 35), (36, 45), (37, 44), (40, 47), (48, 54), (59, 55)]
    for one, other in [*twins, (60, 64), (67, 65), (68, 69)]:
        assert np.allclose(turned.face[[one, other]], flipped(before.face[[other, one]]), atol=0.02)
    page.click(named("Mirror"))
    assert same(exported(page), pose)


def test_what_is_no_hand_is_refused(page: Page):
    told = page.run(
        "(async () => {const {fromJSON} = await import('/assets/people.js');"
        "const body = Array(54).fill(1);"
        "const tell = more => {try {fromJSON(JSON.stringify({people: [{pose_keypoints_2d: body, ...more}]}))}"
        " catch (error) {return error.message} return 'read'};"
        "return [tell({hand_left_keypoints_2d: Array(60).fill(1)}), tell({face_keypoints_2d: ['a', 1, 1]}),"
        " tell({face_keypoints_2d: Array(219).fill(1)}), tell({hand_right_keypoints_2d: null}),"
        " tell({face_keypoints_2d: Array(198).fill(1)})]})()"
    )
    assert "a hand has 20 points in the JSON; wanted 21" in told[0] and "not all numbers" in told[1]
    assert "a face has 73 points in the JSON; wanted 1 to 71" in told[2] and told[3:] == ["read", "read"]
