"""Poses drawn as OpenPose draws them, which is what the published pose controls were trained on.

Sources: Cao et al., OpenPose, arXiv 1812.08008, and the annotator of ControlNet 1.1. There strokes have fixed
widths, those of a picture of 512 pixels; here they grow with the picture, so that a map made at another size
means the same. On canvases whose short side is 512, drawings of the same keypoints (200 poses of one to four
people with hands and faces, some with points missing or outside) are the same in every pixel as those of
sd-webui-controlnet at 56cec5b.
"""

import colorsys
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._keypoints import Points, Pose

Canvas = NDArray[np.uint8]

# Pairs of the 18 body keypoints, in the order in which OpenPose colours them.
LIMBS: Final = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10)),
    *((1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16), (0, 15), (15, 17)),
)
# Eighteen steps around the colour wheel: one for each keypoint, the first seventeen for the limbs.
WHEEL: Final = (
    *((255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0)),
    *((0, 255, 0), (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255)),
    *((0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85)),
)
_DIM: Final = 0.6  # brightness of the limbs

# Four bones for each finger, from the wrist outwards; twenty steps around the colour wheel.
BONES: Final = tuple(
    (4 * finger + i if i else 0, 4 * finger + i + 1) for finger in range(5) for i in range(4)
)
_BONE_COLOURS: Final = tuple(
    tuple(255 * part for part in colorsys.hsv_to_rgb(i / len(BONES), 1, 1)) for i in range(len(BONES))
)
_BLUE: Final = (0, 0, 255)
_WHITE: Final = (255, 255, 255)


class Shown(NamedTuple):
    """Which parts of a person are drawn."""

    body: bool = True
    hand: bool = True
    face: bool = True


def draw_pose(pose: Pose, shown: Shown | None = None) -> Canvas:
    """Draw people on black, (height, width, 3) uint8 of the pose's size, one over another in their order."""
    shown = shown or Shown()
    canvas = np.zeros((pose.height, pose.width, 3), dtype=np.uint8)
    for person in pose.people:
        if shown.body:
            _body(canvas, person.body)
        for hand in (person.left_hand, person.right_hand):
            if shown.hand and hand is not None:
                _hand(canvas, hand)
        if shown.face and person.face is not None:
            _face(canvas, person.face)
    return canvas


def draw_body(keypoints: NDArray[np.floating], height: int, width: int) -> Canvas:
    """Draw one body, keypoints (18, 3) of x, y in pixels and a score, on black: (H, W, 3) uint8.

    A keypoint with a score of 0 or less is not drawn, nor are its limbs. Limbs are ellipses of 60 %
    brightness and keypoints discs, 4 pixels wide on a picture of 512 (Cao et al., arXiv 1812.08008).
    """
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    _body(canvas, keypoints)
    return canvas


def _body(canvas: Canvas, keypoints: NDArray[np.floating]) -> None:
    thick = _wide(canvas, 4)
    for colour, pair in zip(WHEEL[: len(LIMBS)], LIMBS, strict=True):
        ends = keypoints[list(pair)]
        if (ends[:, 2] > 0).all():
            middle, along = ends[:, :2].mean(axis=0), ends[0, :2] - ends[1, :2]
            axes = (int(np.hypot(*along) / 2), thick)
            angle = float(np.degrees(np.arctan2(along[1], along[0])))
            outline = cv2.ellipse2Poly((int(middle[0]), int(middle[1])), axes, int(angle), 0, 360, 1)
            cv2.fillConvexPoly(canvas, np.asarray(outline), [int(_DIM * part) for part in colour])
    for colour, (x, y, score) in zip(WHEEL, keypoints, strict=True):
        if score > 0:
            cv2.circle(canvas, (int(x), int(y)), thick, colour, thickness=-1)


def _hand(canvas: Canvas, keypoints: Points) -> None:
    places = _inside(keypoints)
    for colour, (start, end) in zip(_BONE_COLOURS, BONES, strict=True):
        if start in places and end in places:
            cv2.line(canvas, places[start], places[end], colour, thickness=_wide(canvas, 2))
    for place in places.values():
        cv2.circle(canvas, place, _wide(canvas, 4), _BLUE, thickness=-1)


def _face(canvas: Canvas, keypoints: Points) -> None:
    for place in _inside(keypoints).values():
        cv2.circle(canvas, place, _wide(canvas, 3), _WHITE, thickness=-1)


def _inside(keypoints: Points) -> dict[int, tuple[int, int]]:
    """Return the pixels of what was found, by its number, without those above or left of the picture.

    Nor any in its first row or column: that is where other programs put points that they did not find.
    """
    places = {i: (int(x), int(y)) for i, (x, y, score) in enumerate(keypoints) if score > 0}
    return {i: place for i, place in places.items() if min(place) > 0}


def _wide(canvas: Canvas, pixels: int) -> int:
    return max(1, round(pixels * min(canvas.shape[:2]) / 512))
