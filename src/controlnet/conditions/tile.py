"""The picture with fewer details."""

from collections.abc import Mapping
from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels

_LEAST = 1.1  # rates below it change nothing, as published


@final
class Tile(Condition):
    """The picture in its colours, made smaller and again as large: for ControlNets that add details.

    Source: "tile_resample" of sd-webui-controlnet (AREA down, CUBIC up), for control_v11f1e_sd15_tile; the
    map is the same. ControlNet 1.1 has no annotator for tiles: the map is the picture, which is the rate of
    1. For "tile_colorfix" and "tile_colorfix+sharp" the map is the picture too: they are no annotators, but
    give the result the picture's colours after sampling, which the map has no part in.
    """

    title: ClassVar[str] = "The picture with fewer details, for adding new ones"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "L. Zhang, ControlNet 1.1, control_v11f1e_sd15_tile, 2023"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    aliases: ClassVar[Mapping[str, str]] = {
        "tile_resample": "tile",
        "tile_colorfix": "tile",
        "tile_colorfix+sharp": "tile",
    }

    rate: float = Field(
        default=1.0,
        ge=1.0,
        le=8.0,
        description="by how much the picture is made smaller; below 1.1: not at all",
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the picture with the details that are left at the smaller size."""
        if self.rate < _LEAST:
            return image.copy()
        height, width = image.shape[:2]
        size = max(1, int(width / self.rate)), max(1, int(height / self.rate))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
