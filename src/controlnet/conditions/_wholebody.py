"""DWPose around its two networks: what they are given, and what their outputs mean.

Sources: Ge et al., YOLOX, arXiv 2107.08430; Jiang et al., RTMPose, arXiv 2303.07399, whose networks tell a
keypoint's x and y as two distributions (SimCC); Yang et al., DWPose, arXiv 2307.15880.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from controlnet.conditions._coco import COCO, crop, surely, to_openpose
from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import FACE, Person, Points
from controlnet.errors import CheckpointError

YOLOX_SIDE: Final = 640
_STRIDES: Final = (8, 16, 32)
_GREY: Final = 114
_CLASSES: Final = 5  # before them: a box and how sure it is
_PERSON: Final = 0
_SURE: Final = 0.3
_SAME: Final = 0.45  # overlap above which two boxes are one person's

HEIGHT: Final = 384
WIDTH: Final = 288
_BINS: Final = 2  # of a distribution to a pixel
_MEAN: Final = (123.675, 116.28, 103.53)
_SPREAD: Final = (58.395, 57.12, 57.375)

# The 133 keypoints: COCO's body, six of the feet, and these.
KEYPOINTS: Final = 133
_FACE: Final = slice(23, 91)
_LEFT_HAND: Final = slice(91, 112)
_RIGHT_HAND: Final = slice(112, 133)
_EYES: Final = [14, 15]  # of the body; they stand in for the pupils, which this face lacks


def yolox_input(image: Pixels) -> tuple[Float[np.ndarray, "1 3 640 640"], float]:
    """Return a picture as YOLOX takes it, blue, green, red in 0 … 255 on grey, and by what it was scaled."""
    height, width = image.shape[:2]
    scale = min(YOLOX_SIDE / height, YOLOX_SIDE / width)
    tall, wide = (max(1, int(side * scale)) for side in (height, width))
    square = np.full((YOLOX_SIDE, YOLOX_SIDE, 3), _GREY, dtype=np.uint8)
    square[:tall, :wide] = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_LINEAR)
    return square[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32), scale


def people_boxes(output: Float[np.ndarray, "1 8400 c"], scale: float) -> Float[np.ndarray, "n 4"]:
    """Return the boxes (left, top, right, bottom) of the people in YOLOX's output, the surest first.

    A row is a cell of one of three grids: middle and size of a box in that cell's terms, how sure it is that
    something is there, and then that it is of each class. Raises CheckpointError for another network's rows.
    """
    cells = _cells()
    if output.ndim != 3 or output.shape[1] != len(cells) or output.shape[2] <= _CLASSES:
        raise CheckpointError(
            f"the detector of people gave {output.shape}; wanted (1, {len(cells)}, 85), as the published "
            "yolox_l.onnx gives: fetch that file"
        )
    scores = output[0, :, 4] * output[0, :, _CLASSES + _PERSON]
    sure = scores > _SURE
    rows, cells = output[0, sure], cells[sure]
    stride = cells[:, 2:]
    middles, sizes = (rows[:, :2] + cells[:, :2]) * stride, np.exp(rows[:, 2:4]) * stride
    corners = np.concatenate([middles - sizes / 2, middles + sizes / 2], axis=1) / scale
    return corners[_apart(corners, scores[sure])]


def _cells() -> NDArray[np.integer]:
    """Return column, row and stride of each cell of the three grids, (8400, 3)."""
    grids: list[NDArray[np.integer]] = []
    for stride in _STRIDES:
        y, x = np.mgrid[: YOLOX_SIDE // stride, : YOLOX_SIDE // stride]
        grids.append(np.stack([x.ravel(), y.ravel(), np.full(x.size, stride)], axis=1))
    return np.concatenate(grids)


def _apart(boxes: NDArray[np.floating], scores: NDArray[np.floating]) -> list[int]:
    """Return which boxes stay when, the surest first, those that overlap one that stays are taken away."""
    areas = (boxes[:, 2:] - boxes[:, :2] + 1).prod(axis=1)
    left = np.argsort(scores, kind="stable")[::-1]
    kept: list[int] = []
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        common = np.maximum(high - low + 1, 0).prod(axis=1)
        left = left[common / (areas[best] + areas[left] - common) <= _SAME]
    return kept


def pose_input(
    image: Pixels, box: NDArray[np.floating]
) -> tuple[Float[np.ndarray, "1 3 384 288"], NDArray[np.floating], NDArray[np.floating]]:
    """Return a person as the pose network takes it, RGB, and corner and size of the crop in the picture."""
    cut, corner, size = crop(image, box, HEIGHT, WIDTH)
    given = (cut - np.array(_MEAN)) / np.array(_SPREAD)
    return given.transpose(2, 0, 1)[None].astype(np.float32), corner, size


def person_of(
    outputs: Sequence[np.ndarray], corner: NDArray[np.floating], size: NDArray[np.floating]
) -> Person:
    """Return the person whose 133 distributions of x and of y these are; of corner and size see `pose_input`.

    Raises CheckpointError for another network's outputs.
    """
    shapes = [output.shape for output in outputs]
    wanted = [(1, KEYPOINTS, _BINS * side) for side in (WIDTH, HEIGHT)]
    if shapes != wanted:
        raise CheckpointError(
            f"the network of keypoints gave {shapes} for a person; wanted {wanted}, as the published "
            "dw-ll_ucoco_384.onnx gives: fetch that file"
        )
    both = [output[0] for output in outputs]
    places = np.stack([one.argmax(axis=1) / _BINS for one in both], axis=1)  # 133 2, in pixels of the crop
    scores = np.minimum(*(one.max(axis=1) for one in both))
    points = np.column_stack([places / (WIDTH, HEIGHT) * size + corner, scores])
    body = to_openpose(points[:COCO], _SURE)
    face = np.zeros((FACE, 3))
    face[:68] = surely(points[_FACE], _SURE)
    if face.any():
        face[68:] = body[_EYES]
    left, right = (surely(points[hand], _SURE) for hand in (_LEFT_HAND, _RIGHT_HAND))
    return Person(body, _found(left), _found(right), _found(face))


def _found(points: Points) -> Points | None:
    return points if points[:, 2].any() else None
