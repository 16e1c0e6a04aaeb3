"""DWPose: what its networks are given, what is read out of them, and how they come from ONNX files."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._networks import load
from controlnet.conditions._pose import Shown, draw_pose
from controlnet.conditions._wholebody import people_boxes, person_of, pose_input, yolox_input
from controlnet.errors import CheckpointError, MissingExtra, MissingWeights
from tests import tiny_onnx
from tests.annotators import dw_openpose_full as made
from tests.poses import standing

CORNER, SIZE = np.zeros(2), np.array([288.0, 384.0])


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    yield
    load.forget()


def coloured(*colour: int, side: int = 512) -> np.ndarray:
    return np.full((side, side, 3), colour, np.uint8)


def place(cell: int) -> tuple[int, int, int]:
    """Return stride, column and row of a cell of the three grids of 80², 40² and 20²."""
    for stride in (8, 16, 32):
        side = 640 // stride
        if cell < side**2:
            return stride, cell % side, cell // side
        cell -= side**2
    raise AssertionError


def boxes(*told: tuple[float, ...], scale: float = 1.0) -> np.ndarray:
    """Return the people in rows of (cell, left, top, right, bottom, sureness of something, of a person)."""
    rows = np.zeros((1, 8400, 85), np.float32)
    for cell, left, top, right, bottom, something, person in told:
        stride, x, y = place(int(cell))
        rows[0, int(cell), :2] = (left + right) / 2 / stride - x, (top + bottom) / 2 / stride - y
        rows[0, int(cell), 2:4] = np.log([(right - left) / stride, (bottom - top) / stride])
        rows[0, int(cell), 4:6] = something, person
    return people_boxes(rows, scale)


def test_the_detector_is_given_blue_first_on_a_grey_square() -> None:
    given, scale = yolox_input(np.full((50, 100, 3), (10, 20, 30), np.uint8))
    assert scale == 6.4 and given.shape == (1, 3, 640, 640) and given.dtype == np.float32
    assert given[0, :, :320].reshape(3, -1).T.tolist() == [[30, 20, 10]] * 320 * 640
    assert (given[0, :, 320:] == 114).all()


@pytest.mark.parametrize("cell", [0, 81, 6400, 6441, 8000, 8399])
def test_boxes_are_read_in_each_grid_and_at_the_pictures_size(cell: int) -> None:
    found = boxes((cell, 40, 60, 140, 360, 0.8, 0.9), scale=0.5)
    np.testing.assert_allclose(found, [(80, 120, 280, 720)], rtol=1e-5)


def test_the_surest_of_boxes_that_overlap_is_kept_and_the_unsure_are_not() -> None:
    found = boxes(
        (3, 100, 100, 200, 200, 0.6, 0.9),
        (4, 102, 100, 202, 200, 0.9, 0.9),  # almost the same
        (5, 300, 300, 400, 400, 0.5, 0.5),  # 0.25 together
        (6, 150, 100, 250, 200, 0.7, 0.9),  # a third of both in common
    )
    np.testing.assert_allclose(found, [(102, 100, 202, 200), (150, 100, 250, 200)], rtol=1e-5)


def test_a_person_is_given_in_the_middle_of_an_upright_crop() -> None:
    image = coloured(0, 0, 0)
    image[200:300, 100:300] = (255, 128, 0)
    given, corner, size = pose_input(image, np.array([100.0, 200.0, 300.0, 300.0]))
    assert size.tolist() == [250, 250 * 4 / 3]  # a quarter more than the box is wide
    np.testing.assert_allclose(corner, (200 - 125, 250 - size[1] / 2))
    middle = given[0, :, 192, 144]
    np.testing.assert_allclose(
        middle * (58.395, 57.12, 57.375) + (123.675, 116.28, 103.53), (255, 128, 0), atol=1e-4
    )


def test_133_keypoints_become_a_body_two_hands_and_a_face() -> None:
    person = person_of(made.see(np.zeros((1, 3, 384, 288), np.float32)), CORNER, SIZE)
    at = made.places()
    body = standing(0, 40, 288)[:, :2].round()
    body[1] = (body[2] + body[5]) / 2  # the neck is between the shoulders
    np.testing.assert_allclose(person.body[:, :2], body)
    assert person.left_hand is not None and person.right_hand is not None and person.face is not None
    np.testing.assert_allclose(person.face[:68, :2], at[23:91])
    np.testing.assert_allclose(person.face[68:], person.body[[14, 15]])
    np.testing.assert_allclose(person.left_hand[:, :2], at[91:112])
    np.testing.assert_allclose(person.right_hand[:, :2], at[112:])
    assert np.allclose(person.body[:, 2], 0.8)  # the less sure of x and y


def test_what_is_less_sure_than_threshold_is_not_found_nor_the_neck_without_a_shoulder() -> None:
    across, down = made.see(np.zeros((1, 3, 384, 288), np.float32))
    down[0, 6] *= 0.3  # the right shoulder
    across[0, 91:112] *= 0.3
    person = person_of([across, down], CORNER, SIZE)
    assert np.flatnonzero(person.body[:, 2] == 0).tolist() == [1, 2]
    assert person.left_hand is None and person.right_hand is not None


def test_the_person_is_found_at_the_pictures_own_size() -> None:
    made.place_random()
    detector = condition("dw_openpose_full")
    pose = detector.find_people(coloured(9, 9, 9, side=1280))
    (person,) = pose.people
    left, top, right, bottom = np.array(made.BOX) * 2  # it is in the detector's square of 640
    size = (bottom - top) * 1.25 * np.array([3 / 4, 1])
    corner = np.array([left + right, top + bottom]) / 2 - size / 2
    wanted = made.places()[0] / (288, 384) * size + corner
    np.testing.assert_allclose(person.body[0, :2], wanted)
    assert (detector.draw(pose) == draw_pose(pose, Shown())).all()
    alone = condition("dw_openpose_full(hand=False, face=False)")
    assert (alone.draw(pose) == draw_pose(pose, Shown(hand=False, face=False))).all()


def write_networks(folder: Path) -> None:
    """Write both files: a person where the picture is blue, and keypoints of it where it is red."""
    (rows,) = made.find(np.zeros((1, 3, 640, 640), np.float32))
    something = np.zeros(85, np.float32)
    something[4] = 1 / 255
    rows[0, :, 4] = 0
    tiny_onnx.write(folder / "yolox_l.onnx", (1, 3, 640, 640), 0, {"output": (rows, something)})
    across, down = made.see(np.zeros((1, 3, 384, 288), np.float32))
    none = np.zeros(1, np.float32)
    tiny_onnx.write(
        folder / "dw-ll_ucoco_384.onnx",
        (1, 3, 384, 288),
        0,
        {"simcc_x": (none, across), "simcc_y": (none, down)},
    )


def test_onnx_files_are_run_and_each_gets_its_own_order_of_colours(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_networks(tmp_path)
    detector = condition("dw_openpose_full")
    (person,) = detector.find_people(coloured(255, 0, 255)).people
    made.place_random()
    (wanted,) = detector.find_people(coloured(255, 0, 255)).people
    np.testing.assert_allclose(person.body[:, :2], wanted.body[:, :2], rtol=1e-4)
    assert detector(coloured(255, 0, 255)).any()
    load.forget()
    assert detector.find_people(coloured(255, 255, 0)).people == ()  # no blue
    (unseen,) = detector.find_people(coloured(0, 255, 255)).people  # no red
    assert not unseen.body.any() and unseen.face is None


def test_files_that_are_not_the_published_ones_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    write_networks(tmp_path)
    picture, detector = coloured(255, 0, 255), condition("dw_openpose_full")
    finds, sees = tmp_path / "yolox_l.onnx", tmp_path / "dw-ll_ucoco_384.onnx"
    whole = sees.read_bytes()
    for wrong, why in (
        (whole[:1000], r"cannot read .*dw-ll_ucoco_384"),
        (finds.read_bytes(), r"does not take"),
    ):
        sees.write_bytes(wrong)
        load.forget()
        with pytest.raises(CheckpointError, match=why):
            detector(picture)
    sees.write_bytes(whole)
    tiny_onnx.write(
        finds, (1, 3, 640, 640), 0, {"output": (np.zeros((1, 9, 85), np.float32), np.zeros(1, np.float32))}
    )
    load.forget()
    with pytest.raises(CheckpointError, match=r"\(1, 9, 85\); wanted \(1, 8400, 85\)"):
        detector(picture)


def test_other_keypoints_than_133_are_refused() -> None:
    with pytest.raises(CheckpointError, match=r"17, 384.*wanted.*133, 576"):
        person_of([np.zeros((1, 17, 384)), np.zeros((1, 17, 512))], CORNER, SIZE)


def test_without_the_extra_one_line_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "yolox_l.onnx").write_bytes(b"")
    with pytest.raises(MissingExtra, match=r'pip install "controlnet\[annotators\]"$') as told:
        condition("dw_openpose_full")(coloured(0, 0, 0))
    assert "\n" not in str(told.value)


def test_without_weights_the_file_and_what_it_takes_are_named() -> None:
    with pytest.raises(
        MissingWeights, match=r"yolox_l\.onnx \(217 MB, licence: Apache-2\.0\).*weights fetch"
    ):
        condition("dw_openpose_full")(coloured(0, 0, 0))
