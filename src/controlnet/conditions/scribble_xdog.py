"""Scribbles from a photograph by a difference of Gaussians."""

from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import least, white

_FINE, _COARSE = 0.5, 5.0  # σ in pixels


@final
class ScribbleXdog(Condition):
    """White strokes on black, where the picture is darker than its surroundings in every channel.

    Source: "scribble_xdog" of sd-webui-controlnet, for control_v11p_sd15_scribble. There twice the difference
    wraps around at 256, which leaves holes in strokes that are darker by 128 to 143; not so here. All other
    pixels are the same.
    """

    title: ClassVar[str] = "Scribbles by a difference of Gaussians: white strokes on black"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = (
        "H. Winnemöller, J. E. Kyprianidis, S. C. Olsen, XDoG, Computers & Graphics 36(6), 2012"
    )
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    multiple: ClassVar[int] = 64
    label_map: ClassVar[bool] = True

    resolution: Resolution = 512
    threshold: int = Field(
        default=32,
        ge=1,
        le=64,
        description="twice the difference of brightness above which a stroke is drawn",
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the strokes of a picture."""
        numbers = image.astype(np.float32)
        fine, coarse = (np.asarray(cv2.GaussianBlur(numbers, (0, 0), sigma)) for sigma in (_FINE, _COARSE))
        lightness = (255 - least(coarse - fine)).clip(0, 255).astype(np.int16)
        return white(2 * (255 - lightness) > self.threshold)
