"""Normals from a depth map: which colour is which direction, and the published arithmetic."""

import math

import cv2
import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels

MIDDLE = (256, 256)


def ramp(down: float = 0.0, right: float = 0.0, *, size: int = 512) -> Pixels:
    rows, columns = np.mgrid[:size, :size] - size // 2
    depth = (128 + (rows * down + columns * right) * 512 / size).clip(0, 255)
    return depth.astype(np.uint8)[..., None].repeat(3, axis=2)


def test_what_faces_the_viewer_is_blue() -> None:
    assert condition("normal_from_depth")(ramp())[MIDDLE].tolist() == [127, 127, 255]


@pytest.mark.parametrize(
    ("down", "right", "channel", "side"),
    [
        (0.0, 0.4, 0, 1),  # nearer to the right: it faces left, red
        (0.0, -0.4, 0, -1),
        (0.4, 0.0, 1, 1),  # nearer to the bottom: a floor, green
        (-0.4, 0.0, 1, -1),  # a ceiling
    ],
)
def test_red_is_left_and_green_is_up(down: float, right: float, channel: int, side: int) -> None:
    red, green, blue = (int(value) for value in condition("normal_from_depth")(ramp(down, right))[MIDDLE])
    turned, still = (red, green) if channel == 0 else (green, red)
    assert (turned - 127) * side > 40 and abs(still - 127) <= 2 and blue > 200


def test_dark_may_be_near_and_the_order_of_axes_may_be_that_of_1_0() -> None:
    plain = condition("normal_from_depth")(ramp(right=0.4))
    turned = condition("normal_from_depth(near='dark')")(255 - ramp(right=0.4))
    assert np.abs(plain.astype(int) - turned).max() <= 1
    assert np.array_equal(condition("normal_from_depth(order='zyx')")(ramp(right=0.4)), plain[..., ::-1])


def test_normals_have_length_one() -> None:
    depth = cv2.GaussianBlur(
        np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8), (0, 0), 5
    )
    normals = condition("normal_from_depth")(depth).astype(float) / 127.5 - 1
    assert np.abs(np.linalg.norm(normals, axis=2) - 1).max() < 0.02


def test_without_smoothing_it_is_the_annotator_of_controlnet_1_0() -> None:
    grey = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (512, 600), dtype=np.uint8), (0, 0), 9)
    depth = np.rint((grey - grey.min()) / np.float32(np.ptp(grey)) * 255).astype(np.float32)
    x, y = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3)
    x[depth / 255 < 0.4] = y[depth / 255 < 0.4] = 0
    normals = np.stack([x, y, np.full_like(x, 2 * math.pi)], axis=2)
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    wanted = (normals * 127.5 + 127.5).clip(0, 255).astype(np.uint8)[..., ::-1]
    found = condition("normal_from_depth(smooth=0, background=0.4, order='zyx')")(
        depth.astype(np.uint8)[..., None].repeat(3, axis=2)
    )
    assert np.abs(found.astype(int) - wanted).max() <= 1 and (found == wanted).mean() > 0.999


def test_background_faces_the_viewer() -> None:
    found = condition("normal_from_depth(background=0.5, smooth=0)")(ramp(right=0.4))
    assert (found[:, :250] == [127, 127, 255]).all() and (found[:, 260:500, 0] > 150).mean() > 0.5


def test_slopes_do_not_depend_on_the_maps_size() -> None:
    found = [condition("normal_from_depth")(ramp(down=0.4, size=size)) for size in (128, 256, 512, 1024)]
    middles = [normals[len(normals) // 2, len(normals) // 2].astype(int) for normals in found]
    assert np.ptp(middles, axis=0).max() <= 12


def test_terraces_of_bytes_are_levelled_and_outlines_kept() -> None:
    depth = ramp(down=0.15)
    depth[200:300, 200:300] = 250
    rough, smooth = (condition(f"normal_from_depth(smooth={r})")(depth)[..., 1].astype(float) for r in (0, 8))
    assert smooth[350:450].std() < 0.25 * rough[350:450].std()
    assert abs(smooth[350:450].mean() - rough[350:450].mean()) < 6
    assert smooth[199, 250] > 240 and smooth[300, 250] < 10  # the box's upper and lower outline


def test_one_pixel() -> None:
    assert condition("normal_from_depth")(np.full((1, 1, 3), 9, np.uint8)).tolist() == [[[127, 127, 255]]]
