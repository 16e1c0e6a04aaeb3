"""Maps that are the picture in another form: its colours, its brightness, its squares, itself."""

import cv2
import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels


def noise(height: int = 64, width: int = 96, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def at_its_size(text: str, pixels: Pixels) -> Pixels:
    return condition(text).model_copy(update={"resolution": None})(pixels)


def test_none_is_the_picture() -> None:
    pixels = noise()
    assert np.array_equal(condition("none")(pixels), pixels)


def test_invert_twice_is_the_picture_and_white_paper_becomes_black() -> None:
    pixels = noise()
    assert np.array_equal(condition("invert")(condition("invert")(pixels)), pixels)
    assert np.array_equal(condition("invert")(pixels), 255 - pixels)


def test_tile_is_the_picture_up_to_a_rate_of_1_1() -> None:
    pixels = noise()
    for text in ("tile", "tile_resample", "tile_colorfix", "tile_colorfix+sharp", "tile(rate=1.09)"):
        assert np.array_equal(condition(text)(pixels), pixels)


@pytest.mark.parametrize("rate", [1.1, 2.0, 3.7, 8.0])
def test_tile_is_area_down_and_cubic_up(rate: float) -> None:
    pixels = noise()
    small = cv2.resize(pixels, (int(96 / rate), int(64 / rate)), interpolation=cv2.INTER_AREA)
    wanted = cv2.resize(small, (96, 64), interpolation=cv2.INTER_CUBIC)
    assert np.array_equal(condition(f"tile(rate={rate})")(pixels), wanted)


def test_a_tile_of_one_pixel() -> None:
    assert condition("tile(rate=8.0)")(np.full((1, 1, 3), 5, np.uint8)).tolist() == [[[5, 5, 5]]]


@pytest.mark.parametrize("sigma", [0.01, 2.0, 9.0, 16.0, 17.0, 64.0])
def test_blur_is_opencvs(sigma: float) -> None:
    pixels = noise()
    difference = at_its_size(f"blur(sigma={sigma})", pixels).astype(int) - cv2.GaussianBlur(
        pixels, (0, 0), sigma
    )
    assert np.abs(difference).max() <= (2 if sigma > 16 else 0)


def test_luminance_is_what_the_eye_sees_and_red_is_red() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [119, 119, 119]]], np.uint8)
    luminance = condition("recolor_luminance")(colours)[0, :, 0].tolist()
    assert np.abs(np.array(luminance) - [136, 224, 82, 128]).max() <= 1  # L of sRGB: 53.2, 87.7, 32.3, 50.0
    assert condition("recolor_intensity")(colours)[0, :, 0].tolist() == [255, 255, 255, 119]


@pytest.mark.parametrize("by", ["luminance", "intensity"])
def test_recolor_is_grey_and_gamma_darkens_or_lightens(by: str) -> None:
    pixels = noise()
    plain, light, dark = (condition(f"recolor(by={by!r}, gamma={g})")(pixels) for g in (1.0, 0.5, 2.0))
    assert (plain == plain[..., :1]).all()
    assert dark.mean() < plain.mean() < light.mean()
    assert np.array_equal(dark, ((plain / np.float32(255)) ** 2 * 255).astype(np.uint8))
    assert dark.min() == plain.min() == 0 or dark.min() <= plain.min()


def test_intensity_of_grey_is_the_same_grey() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None].repeat(3, axis=2)
    assert np.array_equal(condition("recolor_intensity")(ramp), ramp)


def test_colour_grid_has_one_colour_for_each_square() -> None:
    found = at_its_size("color_grid", noise(128, 192))
    for top in (0, 64):
        for left in (0, 64, 128):
            square = found[top : top + 64, left : left + 64].reshape(-1, 3)
            assert (square == square[0]).all()
    assert len(np.unique(found.reshape(-1, 3), axis=0)) == 6


def test_colour_grid_shows_the_colours_in_rgb() -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:64, :64], pixels[64:, 64:] = (250, 10, 20), (5, 240, 30)
    found = at_its_size("color_grid", pixels)
    assert found[0, 0].tolist() == [250, 10, 20] and found[-1, -1].tolist() == [5, 240, 30]
    assert found[0, -1].tolist() == [0, 0, 0]


def test_squares_can_be_smaller_and_pictures_smaller_than_a_square() -> None:
    assert len(np.unique(at_its_size("color_grid(square=16)", noise(64, 64)).reshape(-1, 3), axis=0)) == 16
    assert len(np.unique(at_its_size("color_grid", noise(20, 30)).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("blur_gaussian", "blur"),
        ("recolor_luminance", "recolor"),
        ("recolor_intensity", "recolor(by='intensity')"),
        ("t2ia_color_grid", "color_grid"),
        ("color", "color_grid"),
        ("ip2p", "none"),
        ("tile_resample(rate=4.0)", "tile(rate=4.0)"),
    ],
)
def test_the_web_uis_names(label: str, text: str) -> None:
    assert condition(label) == condition(text)
