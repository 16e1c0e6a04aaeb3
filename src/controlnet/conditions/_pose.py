"""Body poses drawn as OpenPose draws them, which is what the published pose controls were trained on."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

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


def draw_body(keypoints: NDArray[np.floating], height: int, width: int) -> NDArray[np.uint8]:
    """Draw one body, keypoints (18, 3) of x, y in pixels and a score, on black: (H, W, 3) uint8.

    A keypoint with a score of 0 or less is not drawn, nor are its limbs. Limbs are ellipses of 60 %
    brightness and keypoints discs, 4 pixels wide on a picture of 512 (Cao et al., arXiv 1812.08008).
    """
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    thick = max(1, round(4 * min(height, width) / 512))
    for colour, pair in zip(WHEEL, LIMBS, strict=False):
        ends = keypoints[list(pair)]
        if (ends[:, 2] > 0).all():
            middle, along = ends[:, :2].mean(axis=0), ends[0, :2] - ends[1, :2]
            axes = (int(np.hypot(*along) / 2), thick)
            angle = float(np.degrees(np.arctan2(along[1], along[0])))
            outline = cv2.ellipse2Poly((int(middle[0]), int(middle[1])), axes, int(angle), 0, 360, 1)
            cv2.fillConvexPoly(canvas, np.asarray(outline), colour)
    canvas = (canvas * 0.6).astype(np.uint8)
    for colour, (x, y, score) in zip(WHEEL, keypoints, strict=True):
        if score > 0:
            cv2.circle(canvas, (int(x), int(y)), thick, colour, thickness=-1)
    return canvas
