"""Line art by what is darker than its surroundings."""

from collections.abc import Mapping
from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey, least

_FAINTEST = 16.0  # the strength at which a typical line is taken to be, if all are fainter


@final
class LineartStandard(Condition):
    """Light lines on black: how much darker a pixel is than its surroundings in every channel.

    Made for drawings and prints, also unevenly lit; of a photograph it shows dark lines and the dark sides of
    edges. The median of what is above the threshold becomes 127, so that a typical line has one brightness
    in all pictures.
    Source: "lineart_standard" of sd-webui-controlnet, for control_v11p_sd15_lineart, which sees light lines
    on black; the map is the same.
    """

    title: ClassVar[str] = "Line art of drawings: light lines on black"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = "none; sd-webui-controlnet, lineart_standard"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    multiple: ClassVar[int] = 64
    aliases: ClassVar[Mapping[str, str]] = {
        "lineart_standard (from white bg & black line)": "lineart_standard"
    }

    resolution: Resolution = 512
    sigma: float = Field(
        default=6.0, ge=0.1, le=64.0, description="size of the surroundings in pixels (σ of a Gaussian)"
    )
    threshold: int = Field(
        default=8, ge=0, le=64, description="what is darker by less does not count for a typical line"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the lines of a picture."""
        numbers = image.astype(np.float32)
        surroundings = np.asarray(cv2.GaussianBlur(numbers, (0, 0), self.sigma))
        darker = least(surroundings - numbers).clip(0, 255)
        lines = darker[darker > self.threshold]
        typical = max(_FAINTEST, float(np.median(lines))) if lines.size else _FAINTEST
        return grey((darker / np.float32(typical) * 127).clip(0, 255).astype(np.uint8))
