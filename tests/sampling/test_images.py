"""Pictures to tensors and back, and how control maps are resized."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.sampling.images import picture_size, resize_map, to_condition, to_mask, to_pictures, to_pixels

RANDOM = np.random.default_rng(0)


def test_maps_of_few_colours_keep_their_colours() -> None:
    colours = RANDOM.integers(0, 256, (20, 3), dtype=np.uint8)
    labels = colours[RANDOM.integers(0, 20, (48, 64))]
    for size in ((32, 24), (100, 96), (64, 24)):
        resized = resize_map(labels, size)
        assert resized.shape == (size[1], size[0], 3)
        assert {tuple(c) for c in resized.reshape(-1, 3)} <= {tuple(c) for c in colours}


def test_maps_of_many_colours_are_averaged_when_shrinking() -> None:
    depth = np.repeat(RANDOM.integers(0, 256, (64, 64, 1), dtype=np.uint8), 3, axis=2)
    depth[..., 1] = depth[::-1, :, 0]
    shrunk = resize_map(depth, (16, 16)).astype(float)
    blocks = depth.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - blocks).max() <= 1


def test_condition_is_in_zero_to_one_channels_first(tmp_path: Path) -> None:
    array = RANDOM.integers(0, 256, (8, 16, 3), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "map.png")
    expected = torch.from_numpy(array).permute(2, 0, 1)[None] / 255
    for given in (array, Image.fromarray(array), tmp_path / "map.png", str(tmp_path / "map.png")):
        assert picture_size(given) == (16, 8)
        torch.testing.assert_close(to_condition(given, (16, 8)), expected)
    assert to_condition(expected, (64, 64)) is expected
    assert picture_size(expected) == (16, 8)


def test_masks_have_one_channel() -> None:
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[:, 4:] = 255
    found = to_mask(mask, (16, 16))
    assert found.shape == (1, 1, 16, 16)
    assert found[..., :8].max() == 0
    assert found[..., 8:].min() == 1


def test_pixels_and_pictures_are_inverse() -> None:
    array = RANDOM.integers(0, 256, (8, 16, 3), dtype=np.uint8)
    pixels = to_pixels(array, (16, 8))
    assert pixels.min() >= -1
    assert pixels.max() <= 1
    assert np.array_equal(np.asarray(to_pictures(pixels)[0]), array)
    clipped = to_pictures(torch.tensor([-3.0, 3.0, 0.0]).reshape(1, 3, 1, 1))[0]
    assert clipped.getpixel((0, 0)) == (0, 255, 128)
    assert to_pixels(array, (32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize("count", [1, 3])
def test_one_picture_for_each_row(count: int) -> None:
    assert len(to_pictures(torch.zeros(count, 3, 4, 4))) == count
