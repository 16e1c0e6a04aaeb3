"""Bodies by ViTPose, whose weights are free to use, drawn as OpenPose draws them."""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, final

import cv2
import numpy as np
from jaxtyping import Float
from pydantic import Field

from controlnet.conditions._coco import COCO, crop, to_openpose
from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import Person, Points
from controlnet.conditions._posed import ADVICE, Posed
from controlnet.conditions._weights import Weights

HEIGHT: Final = 256
WIDTH: Final = 192
_KERNEL: Final = 11  # pixels of the heat map
_SIGMA: Final = 0.8
_RANGE: Final = (0.001, 50)
_FARTHEST: Final = 1.0  # pixel of the heat map


@final
class OpenPoseViTPose(Posed):
    """The 18 keypoints of each body and its limbs in OpenPose's colours on black; no hands, no faces.

    People are found by RT-DETR, and COCO's 17 keypoints of each by ViTPose; the neck is put between the
    shoulders. The maps are what control_v11p_sd15_openpose takes; unlike OpenPose's, the weights are free.
    """

    title: ClassVar[str] = "Human pose (ViTPose): bodies as coloured limbs and joints, with free weights"
    paper: ClassVar[str] = "Y. Xu et al., ViTPose, arXiv 2204.12484; Y. Zhao et al., RT-DETR, 2304.08069"
    licence: ClassVar[str] = "code and weights Apache-2.0"
    aliases: ClassVar[Mapping[str, str]] = {"vitpose": "openpose_vitpose"}
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights("PekingU/rtdetr_r50vd_coco_o365", None, 172, "Apache-2.0", advice=ADVICE),
        Weights("usyd-community/vitpose-base-simple", None, 343, "Apache-2.0", advice=ADVICE),
    )

    least: float = Field(
        default=0.3, ge=0.0, le=1.0, description="how sure a person and a keypoint must be to be drawn"
    )

    def people(self, image: Pixels) -> tuple[Person, ...]:
        """Return the people in a picture as `prepare` makes it."""
        from controlnet.conditions._networks.load import pretrained, to_input
        from controlnet.conditions._networks.vitpose import rt_detr, vitpose

        detector, poser = self.weights
        find, see = pretrained(rt_detr, detector), pretrained(vitpose, poser)
        boxes = find(to_input(image)).cpu().numpy()
        people: list[Person] = []
        for box in boxes[boxes[:, 4] > self.least, :4]:
            cut, corner, size = crop(image, box, HEIGHT, WIDTH, unbiased=True)
            points = highest(see(to_input(cut))[0].cpu().numpy())
            last = np.array([WIDTH, HEIGHT]) / 4 - 1  # middle of the heat map's last pixel
            points[:, :2] = points[:, :2] * size / last + corner
            people.append(Person(to_openpose(points, max(self.least, 1e-3))))
        return tuple(people)


def highest(heat: Float[np.ndarray, "17 h w"]) -> Points:
    """Return where each map is highest, finer than a pixel, and how high: (17, 3).

    A parabola is laid through the logarithm of the smoothed map: Zhang et al., Distribution-Aware Coordinate
    Representation (DARK), arXiv 1910.06278. Its top counts up to one pixel from the highest one.
    """
    points = np.empty((COCO, 3))
    for point, one in zip(points, heat, strict=True):
        y, x = np.unravel_index(one.argmax(), one.shape)
        soft: Any = cv2.GaussianBlur(one, (_KERNEL, _KERNEL), _SIGMA, borderType=cv2.BORDER_REFLECT)
        log = np.pad(np.log(np.clip(soft, *_RANGE)), 1, mode="edge").astype(np.float64)
        near = log[y : y + 3, x : x + 3]  # around the highest pixel
        slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
        top = 2 * near[1, 1]
        bend_x = near[1, 2] - top + near[1, 0]
        bend_y = near[2, 1] - top + near[0, 1]
        turn = (near[2, 2] - near[1, 2] - near[2, 1] + top - near[1, 0] - near[0, 1] + near[0, 0]) / 2
        bend = np.array([[bend_x, turn], [turn, bend_y]]) + np.finfo(np.float32).eps * np.eye(2)
        moved = -np.linalg.lstsq(bend, slope, rcond=None)[0]
        point[:2] = np.array([x, y]) + np.clip(moved, -_FARTHEST, _FARTHEST)
        point[2] = one[y, x]
    return points
