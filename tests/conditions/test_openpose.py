"""OpenPose's networks: official layouts, and people in pictures found by them."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from controlnet.conditions import condition
from controlnet.conditions._networks.load import filled, place
from controlnet.conditions._networks.openpose import BodyNet, FaceNet, HandNet
from controlnet.errors import CheckpointError, SettingError
from tests.helpers import official
from tests.poses import affinity_maps, heat_maps, standing

NETWORKS = {"body": BodyNet, "hand": HandNet, "face": FaceNet}


@pytest.mark.parametrize("name", NETWORKS)
def test_official_layouts_load_and_nothing_may_be_missing_or_extra(name: str) -> None:
    state = {re.sub(r"^model\d(_\d)?\.", "", key): value for key, value in official(name).items()}
    with torch.device("meta"):
        kind = NETWORKS[name]()
    assert {key: value.shape for key, value in kind.state_dict().items()} == {
        key: value.shape for key, value in state.items()
    }
    first = next(iter(state))
    for wrong in (
        {key: value for key, value in state.items() if key != first},
        state | {"odd": state[first]},
    ):
        with pytest.raises(CheckpointError, match=re.escape(first) if "odd" not in wrong else "odd"):
            filled(NETWORKS[name](), wrong, name)


class Perfect(nn.Module):
    """A network that has seen the person it is asked about: maps (1, 57, h, w) at an eighth."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        height, width = pictures.shape[2] // 8, pictures.shape[3] // 8
        body = standing(0, 0, height)
        body[:, 2] = 1
        maps = np.concatenate(
            [heat_maps([body], height, width, 0.7), affinity_maps([body], height, width, 1)]
        )
        return torch.from_numpy(maps)[None].float()


def test_a_person_is_found_where_the_network_sees_one() -> None:
    place(BodyNet, Perfect())
    detector = condition("openpose")
    image = np.zeros((256, 256, 3), np.uint8)
    pose = detector.find_people(image)
    (person,) = pose.people
    wanted = standing(0, 0, 256)
    assert (pose.height, pose.width) == (256, 256) and person.left_hand is None
    assert np.abs(person.body[:, :2] - wanted[:, :2]).max() < 12  # an eighth of the size: coarse
    drawn = detector(image)
    assert drawn.shape == image.shape and 0.01 < drawn.any(axis=2).mean() < 0.3


class Bells(nn.Module):
    """A network that sees a bell for each keypoint on a diagonal of the box, the first at its left border."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        height, width = pictures.shape[2] // 8, pictures.shape[3] // 8
        y, x = np.mgrid[:height, :width]
        at = np.linspace(0, 0.9, self.maps)
        bells = [
            np.exp(-((x - f * width) ** 2 + (y - (0.05 + f) * height) ** 2) / (0.003 * width**2)) for f in at
        ]
        return torch.from_numpy(np.stack(bells))[None].float()


def test_hands_and_faces_lie_where_the_body_says_without_their_backgrounds_and_borders() -> None:
    place(BodyNet, Perfect())
    place(HandNet, Bells(22))
    place(FaceNet, Bells(71))
    (person,) = condition("openpose_full").find_people(np.zeros((512, 512, 3), np.uint8)).people
    body = person.body[:, :2]
    for hand, elbow, wrist in ((person.right_hand, 3, 4), (person.left_hand, 6, 7)):
        assert hand is not None and not hand[0].any() and (hand[1:, 2] > 0).all()
        middle = body[wrist] + 0.33 * (body[wrist] - body[elbow])
        assert np.abs(hand[11, :2] - middle).max() < 12  # of a box of about 105
    assert person.face is not None and not person.face[0].any() and (person.face[1:, 2] > 0).all()
    assert np.abs(person.face[37, :2] - body[0]).max() < 12
    assert np.abs(person.face[-1, :2] - body[0]).max() > 35  # the 70th of 71, near the corner


def test_hands_and_faces_are_settings_and_nothing_at_all_is_refused() -> None:
    assert str(condition("openpose_full")) == "openpose(hand=True, face=True)"
    assert str(condition("openpose_faceonly")) == "openpose(body=False, face=True)"
    with pytest.raises(SettingError, match="all False"):
        condition("openpose(body=False)")
