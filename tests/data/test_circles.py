import re

import numpy as np
import pytest
from PIL import ImageColor

from controlnet.data.circles import CENTRE, NAMES, RADIUS, Circles, draw, rgb


def test_draws_the_same_example_for_the_same_seed_and_index_only():
    first, again = draw(3, 5, 64), draw(3, 5, 64)
    assert np.array_equal(first[:2], again[:2]) and first[2] == again[2]
    assert not np.array_equal(first[1], draw(3, 6, 64)[1])
    assert not np.array_equal(first[1], draw(4, 5, 64)[1])


def test_known_example_never_changes():
    """A set of the same seed must be the same one in every version of Python and numpy."""
    source, target, caption = draw(0, 0)
    assert caption == "coral circle with aquamarine background"
    assert (int(source.sum()) // 765, target[0, 0].tolist()) == (2679, [127, 255, 212])


def test_source_is_one_white_ring_about_five_pixels_wide_without_antialiasing():
    for index in range(20):
        source, _, _ = draw(0, index)
        assert source.shape == (512, 512, 3) and source.dtype == np.uint8
        assert set(np.unique(source)) == {0, 255}
        assert (source == source[..., :1]).all()
        column = np.flatnonzero(source.any(axis=(0, 2)))[0]  # the leftmost point, where the ring is vertical
        if column > 0:
            row = int(np.flatnonzero(source[:, column, 0]).mean())
            run = np.flatnonzero(source[row, column:, 0] == 0)[0]
            assert 4 <= run <= 6


def test_target_has_the_geometry_of_the_source_and_the_colours_of_the_caption():
    for index in range(20):
        source, target, caption = draw(2, index)
        disc, ground = re.fullmatch(r"(.+) circle with (.+) background", caption).groups()
        inside = (target == rgb(disc)).all(axis=2)
        assert (inside ^ (target == rgb(ground)).all(axis=2)).all()
        edge = inside ^ np.roll(inside, 1, axis=1)
        edge[:, 0] = False
        assert edge.any() and source[..., 0][edge].all()  # the disc ends within the ring


def test_centres_and_radii_fill_the_stated_ranges():
    centres, radii = [], []
    for index in range(300):
        inside = np.array(Circles(0, 512)(index)[0] != Circles(0, 512)(index)[0][0, 0]).any(axis=2)
        rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
        if min(rows[0], columns[0]) > 0 and max(rows[-1], columns[-1]) < 511:  # else the border clips it
            centres += [(rows[0] + rows[-1]) / 2, (columns[0] + columns[-1]) / 2]
            radii.append((rows[-1] - rows[0]) / 2)
    assert CENTRE[0] - 1 <= min(centres) and max(centres) <= CENTRE[1] + 1
    assert RADIUS[0] - 1 <= min(radii) and max(radii) <= RADIUS[1] + 1
    assert min(centres) < 130 and max(centres) > 380 and min(radii) < 75 and max(radii) > 180


def test_disc_and_ground_never_have_one_colour_even_under_two_names():
    assert rgb("aqua") == rgb("cyan")
    for index in range(300):
        disc, ground = re.fullmatch(r"(.+) circle with (.+) background", draw(5, index, 8)[2]).groups()
        assert rgb(disc) != rgb(ground)


def test_names_are_the_css_ones_in_words():
    assert len(NAMES) == len(set(NAMES)) == 140
    assert {"pale golden rod", "corn silk", "light slate gray", "aqua", "cyan"} <= set(NAMES)
    assert {name.replace(" ", "") for name in NAMES} <= set(ImageColor.colormap)


@pytest.mark.parametrize("size", [32, 128])
def test_other_sizes_show_the_same_scene(size: int):
    (source, target, caption), (_, full, same) = draw(0, 3, size), draw(0, 3)
    step = 512 // size
    assert caption == same and target.shape == (size, size, 3) and source.any()
    assert (target == full[step // 2 :: step, step // 2 :: step]).all(axis=2).mean() > 0.95
