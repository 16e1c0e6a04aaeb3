"""OpenPose: bodies, hands and faces as coloured sticks and dots on black."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Final, final

from controlnet.conditions._grouping import HEATS, group
from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import Person, Points
from controlnet.conditions._posed import ADVICE, PosedInParts
from controlnet.conditions._reading import (
    Network,
    body_maps,
    face_box,
    face_points,
    hand_box,
    hand_points,
)
from controlnet.conditions._weights import Weights

if TYPE_CHECKING:
    from torch import nn

_LICENCE: Final = "CMU OpenPose, non-commercial research only"
_LEFT_ARM: Final = [5, 6, 7]
_RIGHT_ARM: Final = [2, 3, 4]
_NOSE: Final = [0]
_EYES: Final = [14, 15]
_EARS: Final = [16, 17]


@final
class OpenPose(PosedInParts):
    """The 18 keypoints of each body and its limbs in OpenPose's colours, hands and faces if wanted, on black.

    Hands and faces are looked for where the body says they are. The maps are what control_v11p_sd15_openpose
    was trained on. Source: the annotator of ControlNet 1.1, whose constants these are: one scale, a height of
    184 pixels for the body, four for hands. It draws a 71st dot of a face, where the map of the background is
    highest; that is no part of a face and is left out here.
    """

    title: ClassVar[str] = "Human pose (OpenPose): coloured limbs and joints, hands and faces if wanted"
    paper: ClassVar[str] = "Z. Cao et al., OpenPose, arXiv 1812.08008; T. Simon et al., arXiv 1704.07809"
    licence: ClassVar[str] = "weights by CMU for non-commercial research only"
    multiple: ClassVar[int] = 64
    aliases: ClassVar[Mapping[str, str]] = {
        "openpose_body": "openpose",
        "openpose_face": "openpose(face=True)",
        "openpose_faceonly": "openpose(body=False, face=True)",
        "openpose_hand": "openpose(hand=True)",
        "openpose_full": "openpose(hand=True, face=True)",
    }
    weights: ClassVar[tuple[Weights, ...]] = tuple(
        Weights("lllyasviel/Annotators", file, megabytes, _LICENCE, sha256, advice=ADVICE)
        for file, megabytes, sha256 in (
            ("body_pose_model.pth", 209, "25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746"),
            ("hand_pose_model.pth", 147, "b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600"),
            ("facenet.pth", 154, "8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43"),
        )
    )

    def people(self, image: Pixels) -> tuple[Person, ...]:
        """Return the people in a picture as `prepare` makes it, with the parts that are drawn."""
        from controlnet.conditions._networks.openpose import BodyNet, FaceNet, HandNet

        body, hand, face = self.weights
        # Whatever is lacking is to be told before the work begins.
        see_body = _seeing(BodyNet, body)
        see_hand = _seeing(HandNet, hand) if self.hand else None
        see_face = _seeing(FaceNet, face) if self.face else None

        maps = body_maps(see_body, image)
        found = group(maps, lambda channel: maps(HEATS + channel))
        return tuple(
            Person(
                points,
                _hand(see_hand, points[_LEFT_ARM], image),
                _hand(see_hand, points[_RIGHT_ARM], image),
                _face(see_face, points, image),
            )
            for points in found
        )


def _seeing(kind: "type[nn.Module]", weights: Weights) -> Network:
    """Return the network as a function of pictures."""
    from controlnet.conditions._networks.load import network, to_input

    module = network(kind, weights)
    return lambda picture: module(to_input(picture))[0].cpu().numpy()


def _hand(see: Network | None, arm: Points, image: Pixels) -> Points | None:
    box = hand_box(arm, *image.shape[:2]) if see else None
    return _moved(hand_points(see, _cut(image, box)), box) if see and box else None


def _face(see: Network | None, body: Points, image: Pixels) -> Points | None:
    box = face_box(body[_NOSE], body[_EYES], body[_EARS], *image.shape[:2]) if see else None
    return _moved(face_points(see, _cut(image, box)), box) if see and box else None


def _cut(image: Pixels, box: tuple[int, int, int]) -> Pixels:
    left, top, side = box
    return image[top : top + side, left : left + side]


def _moved(points: Points | None, box: tuple[int, int, int]) -> Points | None:
    """Return keypoints of a box as keypoints of the picture.

    Those in the box's first row or column were not found: that is where the published annotator puts such.
    """
    if points is None:
        return None
    points[(points[:, :2] < 1).any(axis=1)] = 0
    points[points[:, 2] > 0, :2] += box[:2]
    return points if points.any() else None
