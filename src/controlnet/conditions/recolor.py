"""The picture without its colours."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey


@final
class Recolor(Condition):
    """Brightness without colours, in three equal channels, for ControlNets that colour a picture.

    Source: "recolor_luminance" and "recolor_intensity" of sd-webui-controlnet: L of CIELAB, or the greatest
    of the three channels. Its luminance takes red for blue; here they are right, and the map is the same of
    a picture whose channels are exchanged. Intensity is the same.
    """

    title: ClassVar[str] = "Brightness without colours, for colouring anew"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "none; sd-webui-controlnet, recolor"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    aliases: ClassVar[Mapping[str, str]] = {
        "recolor_luminance": "recolor(by='luminance')",
        "recolor_intensity": "recolor(by='intensity')",
    }

    by: Literal["luminance", "intensity"] = Field(
        default="luminance",
        description="luminance: as bright as the eye sees it; intensity: as the greatest of the channels",
    )
    gamma: float = Field(
        default=1.0, ge=0.1, le=2.0, description="power of brightness: below 1 lightens, above 1 darkens"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the brightness of a picture."""
        kind, channel = (cv2.COLOR_RGB2LAB, 0) if self.by == "luminance" else (cv2.COLOR_RGB2HSV, 2)
        levels = (np.arange(256, dtype=np.float32) / 255) ** self.gamma * 255
        bright = np.asarray(cv2.cvtColor(image, kind), np.uint8)[..., channel]
        return grey(levels.clip(0, 255).astype(np.uint8)[bright])
