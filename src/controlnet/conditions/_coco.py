"""COCO's keypoints as OpenPose's, and the crops in which top-down networks look at one person."""

from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import BODY, Points

COCO: Final = 17
MARGIN: Final = 1.25  # of a crop around a person's box

# COCO: nose, eyes, ears, shoulders, elbows, wrists, hips, knees and ankles, each left before right. For each
# of OpenPose's 18 but the neck, its number there.
_PLACES: Final = (0, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NECK: Final = 1
_SHOULDERS: Final = [5, 6]


def to_openpose(points: Points, least: float) -> Points:
    """Return OpenPose's 18 keypoints (18, 3) of COCO's 17; those with scores below `least` are not found.

    The neck, which COCO lacks, lies between the shoulders and is as sure as the less sure of them.
    """
    body = np.zeros((BODY, 3))
    body[[i for i in range(BODY) if i != _NECK]] = points[list(_PLACES)]
    shoulders = points[_SHOULDERS]
    body[_NECK] = *shoulders[:, :2].mean(axis=0), shoulders[:, 2].min()
    return surely(body, least)


def surely(points: Points, least: float) -> Points:
    """Return keypoints without those whose scores are below `least`: all zero."""
    return np.where(points[:, 2:] >= least, points, 0.0)


def crop(
    image: Pixels, box: NDArray[np.floating], height: int, width: int, unbiased: bool = False
) -> tuple[Pixels, NDArray[np.floating], NDArray[np.floating]]:
    """Return a person's box (left, top, right, bottom) with a margin at height × width, black outside.

    And its left top corner and its size in the picture, each x and y. `unbiased`: the size is from the middle
    of the first pixel to that of the last (Huang et al., The Devil is in the Details, arXiv 1911.07524).
    """
    middle, size = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) * MARGIN
    size = np.array([max(size[0], size[1] * width / height), max(size[1], size[0] * height / width)])
    corner = middle - size / 2
    scale = (np.array([width, height]) - int(unbiased)) / size
    matrix = np.column_stack([np.diag(scale), -scale * corner])
    cut: Any = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return cut, corner, size
