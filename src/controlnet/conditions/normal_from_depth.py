"""Normals from a depth map that one has."""

import math
from typing import ClassVar, Literal, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.conditions._relief import Order, relief

_SIDE = 512  # short side in pixels at which ControlNet 1.0 measures slopes
_STEPS = 6.0  # of 255: differences of depth across which terraces are levelled


@final
class NormalFromDepth(Condition):
    """Normals of the surface that a depth map makes over the picture: red to the left, green up, blue to you.

    The picture is a depth map, near = bright, as the depth conditions make them. What faces the viewer is
    (127, 127, 255), a wall that faces left reddish, a floor greenish: the directions of NYU's and ScanNet's
    maps, on which control_v11p_sd15_normalbae was trained ("blue is front, red is left, green is top",
    ControlNet 1.1, README). For control_sd15_normal of ControlNet 1.0, which saw red and blue exchanged, set
    `order="zyx"` and `background=0.4`; with `smooth=0` that is the arithmetic of its annotator, of a map of
    bytes in place of MiDaS's numbers.

    Slopes are those of inverse depth, not of the scene, which without the camera cannot be known: a far wall
    is flatter than a near one. They are measured over 1/512 of the short side, so that the size of the map
    does not matter. Bytes make terraces of gentle slopes; `smooth` levels them and keeps outlines.
    """

    title: ClassVar[str] = "Normals from a depth map (near = bright): red left, green up, blue to the viewer"
    family: ClassVar[Family] = "normals"
    paper: ClassVar[str] = "L. Zhang et al., Adding Conditional Control, arXiv 2302.05543, normals from depth"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"

    near: Literal["bright", "dark"] = Field(default="bright", description="how the map shows what is near")
    smooth: int = Field(
        default=6,
        ge=0,
        le=16,
        description="radius in pixels within which terraces are levelled, less in maps below 512; 0: none",
    )
    flatness: float = Field(
        default=2 * math.pi,
        ge=0.1,
        le=100.0,
        description="weight of the direction to the viewer against the slopes; ControlNet 1.0 takes 2π",
    )
    background: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="nearness, from 0 (farthest) to 1, below which all faces the viewer",
    )
    order: Order = Field(
        default="xyz", description="axes that red, green and blue show: zyx for ControlNet 1.0"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the normals of a depth map."""
        near = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)).astype(np.float32)
        if self.near == "dark":
            near = 255 - near
        scale = min(near.shape) / _SIDE
        if self.smooth:
            near = _levelled(near, max(1, round(self.smooth * min(1.0, scale))))
        low, high = float(near.min()), float(near.max())
        far = near - low < self.background * (high - low)
        return relief(near * scale, self.flatness, self.order, far)


def _levelled(near: np.ndarray, radius: int) -> np.ndarray:
    """Return depth, (H, W), without terraces: a bilateral filter's, as it keeps slopes and outlines."""
    return np.asarray(cv2.bilateralFilter(near, 2 * radius + 1, _STEPS, radius / 2))
