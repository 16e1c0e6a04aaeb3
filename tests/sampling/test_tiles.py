"""Tiles: they cover everything, weigh one in all, leave no seam and hold little memory."""

import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from controlnet.errors import SettingError
from controlnet.sampling.fitting import filled
from controlnet.sampling.tiles import Box, Tiling, blended


def smooth(width: int, height: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17 + k) + np.cos(y / (11 + k)) for k in range(3)]
    return np.uint8(127 + 60 * np.stack(waves, axis=2))


@given(
    some.integers(1, 200),
    some.integers(1, 200),
    some.sampled_from([(16, 4, 4), (16, 12, 4), (32, 8, 8), (24, 0, 8)]),
)
def test_tiles_cover_a_picture_on_the_grid_and_overlap(
    width: int, height: int, sides: tuple[int, int, int]
) -> None:
    tile, overlap, grid = sides
    tiling = Tiling((width, height), tile, overlap, grid)
    for length, starts, side in zip(tiling.canvas, tiling.starts, (width, height), strict=True):
        assert starts[0] == 0
        assert starts[-1] + tile == length
        assert 0 <= length - side < max(grid, tile)
        assert all(start % grid == 0 for start in starts)
        steps = np.diff(starts)
        assert (steps > 0).all() and (steps <= tile - overlap).all()
        # As few as will do: one less would have to overlap by less.
        assert len(starts) == 1 or (len(starts) - 2) * (tile - overlap) + tile < length
    assert len(list(tiling)) == len(tiling)


@pytest.mark.parametrize("overlap", [0, 8, 24])
def test_tiles_that_are_left_as_they_are_give_the_picture_back(overlap: int) -> None:
    tiling = Tiling((150, 83), 32, overlap, 8)
    picture = smooth(*tiling.canvas)
    assert np.array_equal(blended(tiling, lambda box: box.cut(picture)), picture[:83, :150])


def test_a_seam_between_unlike_tiles_is_spread_over_the_overlap() -> None:
    """Each tile is of one grey, half the range from the next; no two neighbouring pixels differ by much."""
    tiling = Tiling((160, 32), 32, 16)
    across = tiling.starts[0]

    def paint(box: Box) -> np.ndarray:
        return np.full((32, 32, 3), 64 + 128 * (across.index(box.left) % 2), np.uint8)

    row = blended(tiling, paint)[16, :, 0].astype(int)
    assert row[0] == 64 and row.max() > 180
    assert np.abs(np.diff(row)).max() < 128 / 8
    hard = blended(Tiling((160, 32), 32, 0), lambda box: np.full((32, 32, 3), 64 + 4 * box.left % 256))
    assert np.abs(np.diff(hard[16, :, 0].astype(int))).max() >= 96


def test_one_tile_is_held_at_a_time() -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def paint(box: Box) -> np.ndarray:
        nonlocal most
        most = max(most, sum(one() is not None for one in alive))
        made = np.zeros((16, 16, 3), np.uint8)
        alive.append(weakref.ref(made))
        return made

    blended(Tiling((200, 200), 16, 4), paint)
    assert len(alive) == 17 * 17
    assert most <= 1  # the one before, until the next is there


@pytest.mark.parametrize(("tile", "overlap"), [(16, 16), (16, -4), (18, 4), (16, 3)])
def test_sides_that_cannot_be_meant_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(SettingError, match="multiples of 4 pixels"):
        Tiling((64, 64), tile, overlap, 4)


def test_filling_repeats_the_edge() -> None:
    picture = smooth(5, 4)
    whole = filled(picture, (8, 6))
    assert np.array_equal(whole[:4, :5], picture)
    assert np.array_equal(whole[5, 7], picture[3, 4])
