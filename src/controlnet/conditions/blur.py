"""The picture out of focus."""

from collections.abc import Mapping
from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels

_LARGEST_EXACT = 16.0  # σ up to which OpenCV is quick on bytes; on floats it is quick, and other by 2 at most


@final
class Blur(Condition):
    """The picture in its colours, blurred by a Gaussian, for ControlNets of tiles and of blurred pictures.

    Source: "blur_gaussian" of sd-webui-controlnet; up to a σ of 16 the map is the same, above it
    differs by 1, rarely 2, of 255.
    """

    title: ClassVar[str] = "Blurred picture"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "none; sd-webui-controlnet, blur_gaussian"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    aliases: ClassVar[Mapping[str, str]] = {"blur_gaussian": "blur"}

    resolution: Resolution = 512
    sigma: float = Field(default=9.0, ge=0.01, le=64.0, description="width of the Gaussian (σ) in pixels")

    def detect(self, image: Pixels) -> Pixels:
        """Return the blurred picture."""
        if self.sigma <= _LARGEST_EXACT:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), self.sigma))
        side = round(self.sigma * 6 + 1) | 1  # as OpenCV chooses it for bytes
        blurred = cv2.GaussianBlur(image.astype(np.float32), (side, side), self.sigma)
        return np.rint(blurred).clip(0, 255).astype(np.uint8)
