"""Shuffled pictures: which numbers they are drawn from, and what is left of the picture."""

import cv2
import numpy as np
import pytest

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels

KINDS = ("flow", "colours", "grey", "down")


def picture(seed: int = 0) -> Pixels:
    few = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(few, (128, 96), interpolation=cv2.INTER_CUBIC)


def shuffled(text: str, pixels: Pixels) -> Pixels:
    return condition(text).model_copy(update={"resolution": None})(pixels)


def clouds(height: int, width: int, grain: int) -> np.ndarray:
    """Draw the noise of ControlNet 1.1 from numpy's own generator."""
    points = np.random.uniform(size=(height // grain + 2, width // grain + 2))
    smooth = cv2.resize(points, (width + 2 * grain, height + 2 * grain), interpolation=cv2.INTER_CUBIC)
    smooth = smooth[grain : grain + height, grain : grain + width]
    return (smooth - smooth.min()) / np.ptp(smooth)


@pytest.mark.parametrize("grain", [256, 32])
def test_the_flow_is_the_published_one_after_the_same_seed(grain: int) -> None:
    pixels = picture()
    np.random.seed(11)
    x = (clouds(96, 128, grain) * 127).astype(np.float32)
    y = (clouds(96, 128, grain) * 95).astype(np.float32)
    wanted = cv2.remap(pixels, x, y, cv2.INTER_LINEAR)
    assert np.array_equal(shuffled(f"shuffle(seed=11, grain={grain})", pixels), wanted)


def test_numpys_own_generator_is_left_alone() -> None:
    np.random.seed(5)
    expected = np.random.uniform()
    np.random.seed(5)
    shuffled("shuffle(seed=1)", picture())
    assert np.random.uniform() == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind: str) -> None:
    first, again, other = (shuffled(f"shuffle(kind={kind!r}, seed={s})", picture()) for s in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_each_picture_may_have_its_own_flow() -> None:
    # One bit of one pixel changes the flow; with the same flow it would hardly be seen.
    pixels = picture()
    other = pixels.copy()
    other[0, 0, 0] ^= 1
    same = shuffled("shuffle", pixels) != shuffled("shuffle", other)
    own = shuffled("shuffle(per_picture=True)", pixels) != shuffled("shuffle(per_picture=True)", other)
    assert same.mean() < 0.05 and own.mean() > 0.5


def test_a_flow_keeps_the_colours_and_loses_the_places() -> None:
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[:, 64:] = (255, 128, 0)
    found = shuffled("shuffle", pixels)
    assert not np.array_equal(found, pixels)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) < 300  # black, orange, and mixtures of the two
    assert (found[..., 2] == 0).all()


def test_colours_change_everywhere_grey_is_grey_and_down_is_blurred() -> None:
    pixels = picture()
    colours, grey, down = (shuffled(f"shuffle(kind={kind!r})", pixels) for kind in KINDS[1:])
    assert (colours != pixels).mean() > 0.9 and np.ptp(colours, axis=(0, 1)).min() >= 254
    assert (grey == grey[..., :1]).all()
    least, most = pixels.min(axis=2), pixels.max(axis=2)
    assert (grey[..., 0] + 1 >= least).all() and (grey[..., 0] <= most).all()
    assert 10 < np.abs(down.astype(int) - pixels).mean() < 60


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 17)])
def test_odd_and_tiny_sizes(kind: str, size: tuple[int, int]) -> None:
    pixels = np.full((*size, 3), 100, np.uint8)
    assert shuffled(f"shuffle(kind={kind!r})", pixels).shape == (*size, 3)


def test_golden_values() -> None:
    found = shuffled("shuffle(seed=3, grain=64)", picture())
    got = found[::32, ::48, 0]
    assert np.abs(got.astype(int) - GOLDEN).max() <= 1, got.tolist()


GOLDEN = np.array([[127, 175, 104], [93, 222, 58], [59, 56, 94]])
