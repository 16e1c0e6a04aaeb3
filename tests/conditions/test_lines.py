"""Straight lines: where they are, how long, and what happens where there are none."""

import cv2
import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels

METHODS = ("lsd", "fld", "edge_drawing", "hough")


def box(size: int = 128, left: int = 30, right: int = 100) -> Pixels:
    pixels = np.full((size, size, 3), 40, np.uint8)
    pixels[left:right, left:right] = 220
    return pixels


@pytest.mark.parametrize("method", METHODS)
def test_the_sides_of_a_box_are_lines_and_nothing_else_is(method: str) -> None:
    found = condition(f"lines(method={method!r})")(box())[..., 0] > 0
    outline = np.zeros((128, 128), bool)
    outline[27:103, 27:103] = True
    outline[33:97, 33:97] = False
    assert not (found & ~outline).any()
    for side in (found[40:90, :64], found[40:90, 64:], found[:64, 40:90].T, found[64:, 40:90].T):
        assert side.any(axis=1).mean() > 0.9


@pytest.mark.parametrize("method", METHODS)
def test_lines_are_white_on_black_in_three_equal_channels(method: str) -> None:
    found = condition(f"lines(method={method!r})")(box())
    assert set(np.unique(found)) == {0, 255}
    assert (found == found[..., :1]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (4, 40), (5, 5), (6, 7), (64, 64)])
def test_without_lines_the_map_is_black(method: str, size: tuple[int, int]) -> None:
    assert not condition(f"lines(method={method!r})")(np.full((*size, 3), 77, np.uint8)).any()


@pytest.mark.parametrize("method", METHODS)
def test_tiny_noise_is_no_error(method: str) -> None:
    numbers = np.random.default_rng(0)
    for size in ((5, 5), (5, 40), (9, 6), (17, 16)):
        found = condition(f"lines(method={method!r}, min_length=0.0)")(
            numbers.integers(0, 255, (*size, 3), dtype=np.uint8)
        )
        assert found.shape == (*size, 3)


@pytest.mark.parametrize("method", METHODS)
def test_shorter_lines_than_wanted_are_left_out(method: str) -> None:
    pixels = box(left=10, right=118)
    pixels[50:70, 50:70] = 40
    short = condition(f"lines(method={method!r}, min_length=0.05)")(pixels)[..., 0]
    long = condition(f"lines(method={method!r}, min_length=0.4)")(pixels)[..., 0]
    assert short[45:75, 45:75].any() and not long[45:75, 45:75].any()
    assert long.any()
    assert not condition(f"lines(method={method!r}, min_length=1.0)")(pixels).any()


def test_thickness() -> None:
    thin, thick = (condition(f"lines(thickness={width})")(box())[64, :50, 0] > 0 for width in (1, 5))
    assert 1 <= thin.sum() <= 3 and 5 <= thick.sum() <= 7


def test_shapes_of_both_opencvs_and_none_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = np.array([[5.2, 3.0, 5.2, 60.0], [20.0, 3.0, 20.0, 5.0]], np.float32)  # the second is too short
    maps = []
    for answer in (ends, ends[:, None], None):

        class Detector:
            found = answer

            def detect(self, image: Pixels) -> tuple[np.ndarray | None, None, None, None]:
                return self.found, None, None, None

        monkeypatch.setattr(cv2, "createLineSegmentDetector", Detector)
        maps.append(condition("lines")(np.zeros((64, 64, 3), np.uint8))[..., 0])
    assert np.array_equal(maps[0], maps[1]) and not maps[2].any()
    assert (maps[0] > 0).sum() == 58 and (maps[0][3:61, 5] == 255).all()
