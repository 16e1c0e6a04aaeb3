import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlnet.data.transforms import Placement, Transform, to_condition, to_pixels
from controlnet.errors import SettingError

SIDE = st.integers(2, 40)


def coordinates(height: int, width: int) -> np.ndarray:
    """A picture that says of each pixel where it was."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, 0 * rows], axis=2).astype(np.uint8)


@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from(["center", "random"]), st.booleans(), st.integers(0, 9))
def test_any_picture_comes_to_the_size_from_within_its_bounds(h, w, tall, wide, crop, flip, seed):
    place = Transform((tall, wide), crop, flip).place(h, w, np.random.default_rng(seed))
    left, upper, right, lower = place.box
    assert 0 <= left < right <= w and 0 <= upper < lower <= h
    assert (right - left) / (lower - upper) == pytest.approx(wide / tall)
    for nearest in (False, True):
        out = place(coordinates(h, w), nearest)
        assert out.shape == (tall, wide, 3) and out.dtype == np.uint8
        assert out.flags.writeable and out.flags.c_contiguous


@given(SIDE, SIDE, st.sampled_from(["center", "random"]), st.integers(0, 9))
def test_picture_and_map_get_the_same_geometry(h, w, crop, seed):
    place = Transform(16, crop, flip=True).place(h, w, np.random.default_rng(seed))
    smooth, nearest = place(coordinates(h, w)).astype(int), place(coordinates(h, w), nearest=True).astype(int)
    scale = max(1.0, (place.box[2] - place.box[0]) / 16)
    assert np.abs(smooth - nearest).max() <= scale + 1.5  # never more than a pixel of either grid apart


def test_same_size_copies_bit_for_bit(rng):
    array = rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    for transform in (Transform(), Transform((20, 30), "random")):
        assert np.array_equal(transform.place(20, 30, rng)(array), array)
    flipped = Placement((0, 0, 30, 20), (20, 30), flip=True)(array)
    assert np.array_equal(flipped, array[:, ::-1])


def test_crop_without_scaling_takes_whole_pixels(rng):
    array = coordinates(20, 30)
    cut = Transform(20).place(20, 30, rng)(array)
    assert np.array_equal(cut, array[:, 5:25])
    lefts = {Transform(20, "random").place(20, 30, rng).box[0] for _ in range(200)}
    assert lefts == set(range(11))


def test_nearest_makes_no_new_labels_and_smooth_does(rng):
    labels = np.repeat(rng.choice([0, 100, 255], (33, 47))[..., None], 3, axis=2).astype(np.uint8)
    for size in (16, 64):
        place = Transform(size).place(33, 47, rng)
        assert set(np.unique(place(labels, nearest=True))) <= {0, 100, 255}
        assert not set(np.unique(place(labels))) <= {0, 100, 255}


def test_shrinking_takes_the_mean_of_the_area(rng):
    array = rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)
    mean = array.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    assert np.abs(Transform(4).place(8, 8, rng)(array) - mean).max() <= 1  # rounded once along each axis


def test_flip_mirrors_about_half(rng):
    flips = [Transform(4, flip=True).place(8, 8, rng).flip for _ in range(200)]
    assert 70 < sum(flips) < 130
    assert not any(Transform(4).place(8, 8, rng).flip for _ in range(20))


def test_tensors_have_the_ranges_of_autoencoder_and_hint():
    array = np.array([[[0, 255, 51]]], np.uint8)
    assert to_pixels(array).flatten().tolist() == pytest.approx([-1, 1, -0.6])
    assert to_condition(array).flatten().tolist() == pytest.approx([0, 1, 0.2])
    assert to_pixels(array).shape == (3, 1, 1)


@pytest.mark.parametrize(("size", "crop"), [(0, "center"), ((8, -1), "center"), (8, "left")])
def test_settings_that_cannot_be_meant_are_refused(size, crop):
    with pytest.raises(SettingError, match="wanted"):
        Transform(size, crop)
