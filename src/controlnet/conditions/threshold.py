"""White where the picture is bright, black elsewhere."""

from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import least, white


@final
class Threshold(Condition):
    """White where even the darkest of the three channels is above a level, black elsewhere.

    So pure colours are black. Source: "threshold" of sd-webui-controlnet; at the picture's own size the map
    is the same.
    """

    title: ClassVar[str] = "Black and white: white where all channels are bright"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "none; sd-webui-controlnet, threshold"
    licence: ClassVar[str] = "Apache-2.0 (this project)"
    label_map: ClassVar[bool] = True

    level: int = Field(default=127, ge=0, le=255, description="what is brighter in every channel is white")

    def detect(self, image: Pixels) -> Pixels:
        """Return white where the picture is brighter than the level."""
        return white(least(image) > self.level)
