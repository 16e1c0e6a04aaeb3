"""Keypoints joined into people, from maps such as a perfect network would draw."""

import numpy as np
import pytest
from numpy.typing import NDArray

from controlnet.conditions._grouping import group
from tests import poses
from tests.poses import affinity_maps, heat_maps

SIDE = 192
Body = NDArray[np.float64]


def standing(left: float, top: float, side: float, without: tuple[int, ...] = ()) -> Body:
    """Return a person whose keypoints are on whole pixels: between two, both would be peaks of the map."""
    return np.rint(poses.standing(left, top, side, without))


def found(people: list[Body], width: int = SIDE) -> list[Body]:
    heat, affinity = heat_maps(people, SIDE, width), affinity_maps(people, SIDE, width)
    return sorted(group(heat.__getitem__, affinity.__getitem__), key=lambda body: body[1, 0])


def assert_is(body: Body, wanted: Body) -> None:
    assert ((body[:, 2] > 0) == (wanted[:, 2] > 0)).all()
    seen = wanted[:, 2] > 0
    assert np.abs(body[seen, :2] - wanted[seen, :2]).max() <= 1.5


def test_nobody_is_found_where_nobody_is() -> None:
    assert found([np.zeros((18, 3))]) == []


def test_one_person_with_left_and_right_as_they_are() -> None:
    wanted = standing(10, 5, 170)
    (body,) = found([wanted])
    assert_is(body, wanted)
    assert body[2, 0] < body[5, 0]  # the right shoulder is at the left of the picture


def test_two_people_keep_their_own_limbs() -> None:
    wanted = [standing(-20, 5, 170), standing(120, 15, 170)]
    bodies = found(wanted, width=300)
    assert len(bodies) == 2
    for body, person in zip(bodies, wanted, strict=True):
        assert_is(body, person)


@pytest.mark.parametrize("without", [(4,), (9, 10), (14, 15, 16, 17)])
def test_what_is_hidden_is_missing_and_the_rest_is_there(without: tuple[int, ...]) -> None:
    wanted = standing(10, 5, 170, without)
    (body,) = found([wanted])
    assert_is(body, wanted)


def test_three_keypoints_are_no_person() -> None:
    assert found([standing(10, 5, 170, tuple(range(3, 18)))]) == []


def test_peaks_without_affinity_between_them_are_no_limb() -> None:
    heat = heat_maps([standing(10, 5, 170)], SIDE, SIDE)
    assert group(heat.__getitem__, np.zeros((38, SIDE, SIDE)).__getitem__) == []
