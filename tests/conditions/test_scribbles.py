"""Scribbles and line art without a network, and black and white: polarity, thresholds, golden values."""

import cv2
import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels

DARK_LINE = (slice(20, 100), slice(60, 64))


def paper(ground: int = 255, ink: tuple[int, int, int] = (0, 0, 0), size: int = 128) -> Pixels:
    pixels = np.full((size, size, 3), ground, np.uint8)
    pixels[DARK_LINE] = ink
    return pixels


def found(text: str, pixels: Pixels) -> np.ndarray:
    made = condition(text)
    if made.resolution is not None:
        made = made.model_copy(update={"resolution": None})
    mapped = made(pixels)
    assert (mapped == mapped[..., :1]).all()
    return mapped[..., 0]


def only_the_line() -> np.ndarray:
    expected = np.zeros((128, 128), np.uint8)
    expected[DARK_LINE] = 255
    return expected


@pytest.mark.parametrize("ink", [(0, 0, 0), (200, 20, 20), (30, 30, 250), (126, 126, 126)])
@pytest.mark.parametrize("strokes", ["auto", "dark"])
def test_dark_strokes_on_light_paper_also_coloured_ones(ink: tuple[int, int, int], strokes: str) -> None:
    assert np.array_equal(found(f"scribble(strokes={strokes!r})", paper(255, ink)), only_the_line())


@pytest.mark.parametrize("ink", [(255, 255, 255), (255, 40, 0), (128, 128, 128)])
@pytest.mark.parametrize("strokes", ["auto", "light"])
def test_light_strokes_on_a_dark_ground(ink: tuple[int, int, int], strokes: str) -> None:
    assert np.array_equal(found(f"scribble(strokes={strokes!r})", paper(0, ink)), only_the_line())


def test_polarity_can_be_set_against_the_appearance() -> None:
    assert found("scribble(strokes='light')", paper()).mean() > 200
    assert found("scribble(strokes='dark')", 255 - paper()).mean() > 200


@pytest.mark.parametrize("brightness", [0, 127, 255])
def test_an_empty_sheet_has_no_strokes(brightness: int) -> None:
    assert not found("scribble", np.full((9, 9, 3), brightness, np.uint8)).any()


def test_the_level_of_a_scribble() -> None:
    pixels = paper(255, (180, 180, 180))
    assert not found("scribble", pixels).any()
    assert np.array_equal(found("scribble(level=200)", pixels), only_the_line())


def test_a_scribble_is_that_of_the_published_programs() -> None:
    pixels = cv2.GaussianBlur(paper(), (0, 0), 2.0)
    dark = np.where(np.min(pixels, axis=2) < 127, 255, 0)
    assert np.array_equal(found("scribble", pixels), dark)
    assert np.array_equal(
        found("scribble", 255 - pixels), np.where(np.min(255 - pixels, axis=2) > 127, 255, 0)
    )


def test_xdog_draws_dark_lines_white_and_no_light_ones() -> None:
    drawn = found("scribble_xdog", paper(200, (60, 60, 60)))
    assert (drawn[DARK_LINE] == 255).all()
    assert not drawn[:, :50].any() and not drawn[:, 74:].any()
    assert set(np.unique(drawn)) == {0, 255}
    light = found("scribble_xdog", paper(60, (200, 200, 200)))
    assert not light[DARK_LINE].any()


def test_xdog_has_no_holes_in_the_darkest_lines() -> None:
    # A difference of 128 to 143 would wrap around to less than the threshold in bytes.
    for ink in range(0, 160, 4):
        assert (found("scribble_xdog", paper(255, (ink, ink, ink)))[DARK_LINE] == 255).all(), ink


def test_xdog_is_twice_a_difference_of_gaussians() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 1), dtype=np.uint8).repeat(3, axis=2)
    numbers = pixels.astype(np.float32)
    darker = (cv2.GaussianBlur(numbers, (0, 0), 5.0) - cv2.GaussianBlur(numbers, (0, 0), 0.5)).min(axis=2)
    for threshold in (1, 20, 64):
        drawn = found(f"scribble_xdog(threshold={threshold})", pixels)
        assert np.array_equal(drawn > 0, 2 * np.ceil(darker.clip(0)) > threshold)
        assert drawn.any()


def test_a_higher_xdog_threshold_draws_less() -> None:
    pixels = np.random.default_rng(1).integers(60, 190, (64, 64, 3), dtype=np.uint8)
    counts = [int((found(f"scribble_xdog(threshold={t})", pixels) > 0).sum()) for t in (4, 16, 64)]
    assert counts == sorted(counts, reverse=True) and counts[0] > counts[2]


def test_line_art_is_light_on_black() -> None:
    drawn = found("lineart_standard", paper(230, (90, 90, 90)))
    assert drawn[DARK_LINE].min() > 100 and not drawn[:, :30].any()
    assert not found("lineart_standard", paper(90, (230, 230, 230)))[DARK_LINE].any()


def test_a_typical_line_is_equally_light_on_faint_and_strong_drawings() -> None:
    strong, faint = (found("lineart_standard", paper(255, (ink, ink, ink)))[60, 62] for ink in (100, 200))
    assert abs(int(strong) - int(faint)) <= 3
    fainter = found("lineart_standard", paper(255, (245, 245, 245)))[60, 62]
    assert 0 < fainter < 100  # below the least that a typical line is taken to be


def test_line_art_does_not_mind_uneven_light() -> None:
    shade = np.linspace(0.5, 1, 128)[:, None, None]
    drawn = found("lineart_standard", (paper(240, (60, 60, 60)) * shade).astype(np.uint8))
    assert drawn[DARK_LINE].min() > 60 and drawn[:, :30].max() < 8


def test_line_art_is_that_of_the_published_formula() -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    numbers = pixels.astype(np.float32)
    for sigma, threshold in ((6.0, 8), (3.0, 20)):
        strength = (cv2.GaussianBlur(numbers, (0, 0), sigma) - numbers).min(axis=2).clip(0, 255)
        typical = np.median(strength[strength > threshold])
        wanted = (strength / max(16, typical) * 127).clip(0, 255).astype(np.uint8)
        drawn = found(f"lineart_standard(sigma={sigma}, threshold={threshold})", pixels)
        assert np.array_equal(drawn, wanted) and drawn.any()


def test_line_art_of_an_empty_sheet_is_black() -> None:
    assert not found("lineart_standard", np.full((1, 1, 3), 255, np.uint8)).any()
    assert not found("lineart_standard", np.full((70, 30, 3), 12, np.uint8)).any()


def test_threshold_takes_the_darkest_channel() -> None:
    pixels = np.array([[[127, 200, 200], [128, 128, 128], [255, 0, 255], [255, 255, 255]]], np.uint8)
    assert found("threshold", pixels).tolist() == [[0, 255, 0, 255]]
    assert found("threshold(level=0)", pixels).tolist() == [[255, 255, 0, 255]]
    assert not found("threshold(level=255)", pixels).any()


def test_the_web_uis_labels() -> None:
    assert condition("lineart_standard (from white bg & black line)") == condition("lineart_standard")
    assert condition("invert (from white bg & black line)") == condition("invert")
