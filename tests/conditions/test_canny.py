"""Canny edges: where they are, and what the thresholds do."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.errors import SettingError


def square(inside: int = 255) -> Pixels:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = inside
    return pixels


def test_edges_lie_on_the_outline_and_nowhere_else() -> None:
    found = condition("canny")(square())[..., 0] > 0
    near = np.zeros((64, 64), bool)
    near[14:50, 14:50] = True
    near[18:46, 18:46] = False
    assert found.any() and not (found & ~near).any()
    assert found[:, 30].sum() == 2 and found[30].sum() == 2  # one pixel wide, on both sides


def test_map_is_white_on_black_in_three_equal_channels() -> None:
    found = condition("canny")(square())
    assert set(np.unique(found)) == {0, 255}
    assert (found == found[..., :1]).all()


def test_it_is_opencvs_canny() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    assert np.array_equal(condition("canny(low=50, high=120)")(pixels)[..., 0], cv2.Canny(pixels, 50, 120))


def test_a_flat_picture_has_no_edges() -> None:
    assert not condition("canny(low=1, high=1)")(np.full((32, 32, 3), 77, np.uint8)).any()


def test_higher_thresholds_find_less() -> None:
    pixels = np.random.default_rng(1).integers(0, 120, (64, 64, 3), dtype=np.uint8)
    counts = [int(condition(f"canny(low={t}, high={t})")(pixels).sum()) for t in (50, 150, 250)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[2]


def test_an_edge_between_colours_of_one_brightness_is_found() -> None:
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16], pixels[:, 16:] = (255, 0, 0), (0, 130, 0)  # the same luma
    assert condition("canny")(pixels).any()


@given(st.integers(1, 255), st.integers(1, 255))
def test_low_is_never_above_high(low: int, high: int) -> None:
    if low <= high:
        assert condition(f"canny(low={low}, high={high})")
        return
    with pytest.raises(SettingError, match="low at most high"):
        condition(f"canny(low={low}, high={high})")
