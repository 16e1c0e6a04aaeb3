"""M-LSD: lines out of a network's maps, and how they are drawn."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._networks import load
from controlnet.conditions._networks.mlsd import MLSD, MOST, lines

Line = tuple[int, int, tuple[float, float, float, float], float]
"""Where its middle is (x, y), the ways to its ends (x y x y), its score."""

FLAT: Line = (10, 6, (-8, 0, 8, 0), 0.9)
STEEP: Line = (20, 20, (3, -9, -3, 9), 0.6)
FAINT: Line = (5, 25, (-4, 0, 4, 0), 0.05)
SHORT: Line = (28, 5, (-0.5, 0, 0.5, 0), 0.8)


def maps(*wanted: Line, height: int = 32, width: int = 32) -> Tensor:
    """Return what a network would say of these lines; elsewhere there is none."""
    told = torch.zeros(9, height, width)
    told[0] = -20.0
    for x, y, ways, score in wanted:
        told[0, y, x] = torch.logit(torch.tensor(score))
        told[1:5, y, x] = torch.tensor(ways)
    return told


class Answer(nn.Module):
    """Answers with given maps, and keeps what it was given."""

    def __init__(self, told: Tensor) -> None:
        super().__init__()
        self.told, self.given = told, torch.empty(0)

    def forward(self, pictures: Tensor) -> Tensor:
        self.given = pictures
        return self.told[None]


@pytest.fixture(autouse=True)
def no_networks() -> Iterator[None]:
    yield
    load.forget()


def drawn(*wanted: Line, settings: str = "") -> Pixels:
    load.place(MLSD, Answer(maps(*wanted)))
    return condition(f"mlsd(resolution=None{settings})")(np.zeros((64, 64, 3), np.uint8))


def test_lines_lie_where_the_maps_say_in_pixels_of_the_picture() -> None:
    found = lines(maps(FLAT, STEEP), 0.1, 0.1)
    assert found.tolist() == [[4, 12, 36, 12], [46, 22, 34, 58]]  # the surer one first


@pytest.mark.parametrize(
    ("value", "distance", "kept"),
    [(0.1, 0.1, 3), (0.01, 0.1, 4), (0.7, 0.1, 2), (0.1, 1.0, 2), (0.1, 17.0, 1), (0.95, 0.1, 0)],
)
def test_thresholds_of_score_and_length(value: float, distance: float, kept: int) -> None:
    found = lines(maps(FLAT, STEEP, FAINT, SHORT), value, distance)
    assert found.shape == (kept, 4)


def test_of_neighbours_the_surest_wins() -> None:
    beside: Line = (11, 7, (-8, 0, 8, 0), 0.8)
    further: Line = (12, 6, (-8, 0, 8, 0), 0.7)
    assert len(lines(maps(FLAT, beside), 0.1, 0.1)) == 1
    assert len(lines(maps(FLAT, further), 0.1, 0.1)) == 2


def test_at_most_so_many_are_looked_at() -> None:
    many: list[Line] = [
        (x, y, (-4, 0, 4, 0), 0.5 + (y * 60 + x) / 9000) for y in range(0, 60, 2) for x in range(0, 60, 2)
    ]
    found = lines(maps(*many, height=60, width=60), 0.1, 0.1)
    assert len(found) == MOST < len(many)
    assert found[0, 1] == 2 * 58  # the surest


def test_maps_smaller_than_that_do() -> None:
    assert lines(maps(height=8, width=8), 0.1, 0.1).shape == (0, 4)


def test_no_line_is_a_valid_map() -> None:
    found = drawn(settings=", value_threshold=2.0")
    assert found.shape == (64, 64, 3) and found.dtype == np.uint8 and not found.any()


def test_lines_are_white_one_pixel_wide_and_end_where_they_should() -> None:
    found = drawn(FLAT)
    assert (found == found[..., :1]).all() and set(np.unique(found)) == {0, 255}
    wanted = np.zeros((64, 64), bool)
    wanted[12, 4:37] = True
    assert np.array_equal(found[..., 0] > 0, wanted)


def test_fractions_of_a_pixel_are_cut_off_and_lines_end_at_the_border() -> None:
    found = drawn((10, 6, (-30.0, 0.4, 30.0, 0.4), 0.9))  # from -40, 12.8 to 80, 12.8
    assert found[12].all() and not found[:12].any() and not found[13:].any()


def test_settings_are_passed_on() -> None:
    assert drawn(FLAT, STEEP, SHORT).astype(bool).sum() > drawn(STEEP).astype(bool).sum()
    assert np.array_equal(drawn(FLAT, STEEP, SHORT, settings=", distance_threshold=17.0"), drawn(STEEP))
    assert np.array_equal(drawn(FLAT, STEEP, settings=", value_threshold=0.7"), drawn(FLAT))


def test_the_network_sees_rgb_up_to_255_and_multiples_of_64() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 64, 3), dtype=np.uint8)
    network = Answer(maps(FLAT))
    load.place(MLSD, network)
    condition("mlsd(resolution=None)")(pixels)
    assert network.given.shape == (1, 3, 64, 64)
    assert torch.equal(network.given[0, :, :60], torch.from_numpy(pixels.transpose(2, 0, 1)).float())


def test_a_smaller_map_keeps_its_lines() -> None:
    """Blended, not picked: every other row would be dropped with a line in it."""
    load.place(MLSD, Answer(maps(FLAT, (10, 9, (-8, 0.5, 8, 0.5), 0.9))))
    found = condition("mlsd(resolution=64)")(np.zeros((32, 32, 3), np.uint8))
    assert found[6, 10].all() and found[9, 10].all()
