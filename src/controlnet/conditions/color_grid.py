"""The picture's colours in large squares."""

from collections.abc import Mapping
from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels


@final
class ColorGrid(Condition):
    """The picture's colours in squares of 64 pixels: where which colour is, and nothing else.

    Source: T2I-Adapter's colour annotator, "t2ia_color_grid" in sd-webui-controlnet: one CUBIC sample for
    each square, enlarged by NEAREST. For pictures of 512 pixels and more the map is the same.
    """

    title: ClassVar[str] = "Colours in large squares"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "C. Mou et al., T2I-Adapter, arXiv 2302.08453"
    licence: ClassVar[str] = "Apache-2.0"
    aliases: ClassVar[Mapping[str, str]] = {"t2ia_color_grid": "color_grid", "color": "color_grid"}

    resolution: Resolution = 512
    square: int = Field(default=64, ge=2, le=512, description="side of a square in pixels")

    def detect(self, image: Pixels) -> Pixels:
        """Return the picture in squares of one colour."""
        height, width = image.shape[:2]
        grid = max(1, width // self.square), max(1, height // self.square)
        few = cv2.resize(image, grid, interpolation=cv2.INTER_CUBIC)
        return np.asarray(cv2.resize(few, (width, height), interpolation=cv2.INTER_NEAREST))
