"""OpenPose's JSON: read, written, and refused with a reason."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controlnet.conditions._keypoints import Person, from_json, read, to_json
from controlnet.conditions._pose import Shown, draw_pose
from controlnet.errors import DataError, ShapeError
from tests.poses import a_person, a_pose, standing

BODY = "pose_keypoints_2d"
FACE = "face_keypoints_2d"


def told(**changes: Any) -> dict[str, Any]:
    return {"people": [{BODY: [10.0, 20.0, 1.0] * 18}], "canvas_height": 64, "canvas_width": 96} | changes


def test_what_is_written_is_read_again() -> None:
    pose = a_pose(3, 120, 90)
    again = from_json(json.loads(json.dumps(to_json(pose, scores=True))))
    assert (again.height, again.width) == (120, 90)
    for one, other in zip(pose.people, again.people, strict=True):
        for key, points in one.parts().items():
            np.testing.assert_allclose(points, other.parts()[key])


def test_what_was_found_is_written_as_certain() -> None:
    written = to_json(a_pose(3, 120, 90))["people"][0][BODY]
    assert set(written[2::3]) == {1.0}


def test_fractions_of_the_canvas_become_pixels() -> None:
    pose = from_json(told(people=[{BODY: [0.5, 0.25, 1.0] * 18}]))
    np.testing.assert_allclose(pose.people[0].body[0], (48, 16, 1))


def test_parts_that_are_null_or_zero_were_not_found() -> None:
    hand = "hand_left_keypoints_2d"
    person = {BODY: [10, 20, 1] * 18, hand: [0, 0, 0] * 21, FACE: None}
    found = from_json(told(people=[person])).people[0]
    assert found.left_hand is None and found.right_hand is None and found.face is None


def test_25_keypoints_become_18() -> None:
    numbers = [value for i in range(25) for value in (10 + i, 20, 1)]
    body = from_json(told(people=[{BODY: numbers}])).people[0].body
    assert body[:, 0].tolist() == [10 + i for i in (*range(8), *range(9, 19))]


@pytest.mark.parametrize("count", [1, 65, 70, 71])
def test_a_face_may_lack_what_was_not_found_and_end_with_the_background(count: int) -> None:
    person = {BODY: [10, 20, 1] * 18, FACE: [30, 40, 1] * count}
    face = from_json(told(people=[person])).people[0].face
    assert face is not None and face[:, 2].tolist() == [1.0] * min(count, 70) + [0.0] * (70 - count)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ([], "list of 0"),
        ({"persons": []}, 'no list "people"'),
        (told(people=[7]), r"people\[0\] is 7"),
        (told(people=[{"legs": []}]), "none of pose_keypoints_2d"),
        (told(people=[{BODY: [1, 2, 3]}]), "3 numbers; .* each of 18 or 25 keypoints"),
        (told(people=[{FACE: [1, 2, 3] * 72}]), "216 numbers; .* each of 1 to 71 keypoints"),
        (told(people=[{FACE: [1, 2]}]), "2 numbers"),
        (told(people=[{BODY: [1, 2, "x"] * 18}]), "'x'"),
        (told(people=[{BODY: [1e9, 2, 1] * 18}]), "within"),
        (told(canvas_width=0), "canvas"),
        (told(canvas_width=10**9), "canvas"),
        ({"people": []}, "canvas_height"),
    ],
)
def test_anything_else_is_refused_with_the_reason(wrong: object, why: str) -> None:
    with pytest.raises(DataError, match=why):
        from_json(wrong)


def test_a_file_is_named_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "pose.json"
    path.write_text("{")
    with pytest.raises(DataError, match=r"pose\.json is no JSON"):
        read(path)
    with pytest.raises(DataError, match="check the path"):
        read(tmp_path / "none.json")


def test_a_person_has_18_keypoints() -> None:
    with pytest.raises(ShapeError, match="18"):
        Person(np.zeros((17, 3)))


def test_only_the_parts_that_are_wanted_are_drawn() -> None:
    pose = a_pose(1, 96, 96, people=1)
    whole = draw_pose(pose, Shown(True, True, True))
    parts = [draw_pose(pose, Shown(*(i == part for i in range(3)))) for part in range(3)]
    assert all(part.any() for part in parts)
    assert all((part != whole).any() for part in parts)
    assert not draw_pose(from_json(told(people=[]))).any()


def test_limbs_have_openposes_colours() -> None:
    body = standing(0, 0, 512)
    drawn = draw_pose(type(a_pose(0, 512, 512))((Person(body),), 512, 512))
    x, y = ((body[5, :2] + body[6, :2]) / 2).astype(int)  # the left upper arm: the fifth limb, at 60 %
    assert drawn[y, x].tolist() == [int(value * 0.6) for value in (170, 255, 0)]
    assert tuple(drawn[tuple(body[0, 1::-1].astype(int))]) == (255, 0, 0)  # the nose: the first joint


def test_people_scale_with_their_picture() -> None:
    person = a_person(0, 50, 50)
    np.testing.assert_allclose(person.scaled(2, 3).body[:, :2], person.body[:, :2] * (2, 3))
