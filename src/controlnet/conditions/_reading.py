"""What OpenPose's networks are given and how their maps are read: sizes, scales, boxes, best places.

Source: OpenPose (arXiv 1812.08008) as the annotator of ControlNet 1.1 runs it; see `openpose`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from numpy.typing import NDArray

from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import FACE, HAND, Points

Maps = Float[np.ndarray, "c h w"]
Network = Callable[[Pixels], Maps]

STRIDE: Final = 8  # pixels of a network's input for each of its maps
_BODY_SIDE: Final = 184  # pixels: half the height of 368 that the weights were trained at
_EMPTY: Final = 128  # what fills a picture up to whole strides
_HAND_SIDES: Final = (184, 368, 552, 736)
_HAND_MAP: Final = 128
_HAND_BLUR: Final = 0.8
_FACE_SIDE: Final = 384
_FOUND: Final = 0.05
_SIGMA: Final = 3
_KERNEL: Final = 25
_SMALLEST: Final = 20  # pixels of a box


@dataclass(frozen=True)
class Enlarged:
    """Maps of a network, each brought to the picture's size when it is asked for."""

    maps: Maps
    inner: tuple[int, int]
    """Height and width of the network's input, without what was filled up."""
    size: tuple[int, int]

    def __call__(self, channel: int) -> NDArray[np.float64]:
        """Return one map (H, W)."""
        fine = fitted(self.maps[channel], *(STRIDE * side for side in self.maps.shape[1:]))
        return fitted(fine[: self.inner[0], : self.inner[1]], *self.size).astype(np.float64)


def body_maps(network: Network, picture: Pixels) -> Enlarged:
    """Return what the body network says of a picture."""
    height, width = picture.shape[:2]
    scale = _BODY_SIDE / height
    tall, wide = (max(1, int(side * scale)) for side in (height, width))  # fractions are cut off
    small = fitted(picture, tall, wide)
    filled = np.pad(
        small, ((0, -tall % STRIDE), (0, -wide % STRIDE), (0, 0)), mode="constant", constant_values=_EMPTY
    )
    return Enlarged(network(filled), (tall, wide), (height, width))


def hand_points(network: Network, box: Pixels) -> Points | None:
    """Return the 21 keypoints of a hand in a box, in the box's pixels; None where nothing was found.

    The mean of four scales is taken; then of each map the highest place in the heaviest island.
    """
    height, width = box.shape[:2]
    soft: Any = cv2.GaussianBlur(box, (0, 0), _HAND_BLUR)
    total = np.zeros((HAND, _HAND_MAP, _HAND_MAP))
    for side in _HAND_SIDES:
        maps = network(fitted(soft, side, side))
        total += [
            fitted(fitted(one, side, side), _HAND_MAP, _HAND_MAP) / len(_HAND_SIDES) for one in maps[:HAND]
        ]
    points = np.zeros((HAND, 3))
    for point, heat in zip(points, total, strict=True):
        island = _heaviest(heat)
        if island is not None:
            y, x = np.unravel_index(np.argmax(heat * island), heat.shape)
            point[:] = (
                int(x * float(width) / _HAND_MAP),
                int(y * float(height) / _HAND_MAP),
                max(heat[y, x], 1e-3),
            )
    return points if points[:, 2].any() else None


def _heaviest(heat: NDArray[np.float64]) -> UInt8[np.ndarray, "h w"] | None:
    """Return 1 where the island with the largest sum lies, of those above the threshold when smoothed."""
    smooth = cv2.GaussianBlur(heat, (_KERNEL, _KERNEL), _SIGMA, borderType=cv2.BORDER_REFLECT)
    count, islands = cv2.connectedComponents((smooth > _FOUND).astype(np.uint8), connectivity=8)
    if count < 2:
        return None
    weights = np.bincount(islands.ravel(), heat.ravel(), count)[1:]
    return (islands == 1 + np.argmax(weights)).astype(np.uint8)


def face_points(network: Network, box: Pixels) -> Points | None:
    """Return the 70 keypoints of a face in a box, in the box's pixels; None where nothing was found."""
    import torch
    from torch.nn.functional import interpolate

    maps = torch.from_numpy(network(fitted(box, _FACE_SIDE, _FACE_SIDE))[:FACE])
    points = np.zeros((FACE, 3))
    for point, one in zip(points, maps, strict=True):
        heat = interpolate(one[None, None], box.shape[:2], mode="bilinear", align_corners=True)[0, 0].numpy()
        y, x = np.unravel_index(np.argmax(heat), heat.shape)
        if heat[y, x] > _FOUND:
            point[:] = x, y, heat[y, x]
    return points if points[:, 2].any() else None


def hand_box(arm: Points, height: int, width: int) -> tuple[int, int, int] | None:
    """Return left, top and side of the square around a hand; None without a whole arm, or if too small.

    `arm` is shoulder, elbow and wrist, (3, 3). The hand goes on from the wrist by a third of the forearm.
    """
    if not (arm[:, 2] > 0).all():
        return None
    shoulder, elbow, wrist = arm[:, :2]
    middle = wrist + 0.33 * (wrist - elbow)
    side = 1.5 * max(float(np.hypot(*(wrist - elbow))), 0.9 * float(np.hypot(*(elbow - shoulder))))
    left, top = np.maximum(middle - side / 2, 0)
    side = min(side, width - left, height - top)
    return (int(left), int(top), int(side)) if side >= _SMALLEST else None


def face_box(
    nose: Points, eyes: Points, ears: Points, height: int, width: int
) -> tuple[int, int, int] | None:
    """Return left, top and side of the square around a face; None without a nose and an eye or ear, or small.

    `nose` is (1, 3), `eyes` and `ears` (2, 3). Eyes are a third of half a side from the nose, ears two.
    """
    if not nose[0, 2] > 0:
        return None
    half = 0.0
    for points, reach in ((eyes, 3.0), (ears, 1.5)):
        away = np.abs(points[:, :2] - nose[0, :2]).max(axis=1)
        half = max([half, *(reach * away[points[:, 2] > 0])])
    left, top = np.maximum(nose[0, :2] - half, 0)
    # The published annotator compares with half the side; beyond the border the box is cut to what there is.
    across = width - left if left + half > width else 2 * half
    down = height - top if top + half > height else 2 * half
    side = min(across, down)
    return (int(left), int(top), int(side)) if side >= _SMALLEST else None


def fitted(picture: Any, tall: int, wide: int) -> Any:
    """Return a picture or a map at another size: AREA where its sides get smaller together, else LANCZOS."""
    height, width = picture.shape[:2]
    how = cv2.INTER_AREA if tall + wide < height + width else cv2.INTER_LANCZOS4
    return cv2.resize(picture, (wide, tall), interpolation=how)
