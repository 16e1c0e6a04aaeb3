"""A person's drawing, into white strokes on black."""

from typing import ClassVar, Literal, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import least, white


@final
class Scribble(Condition):
    """A drawing, dark on light or light on dark, as white strokes on black without greys.

    Source: ControlNet 1.0 and 1.1. gradio_scribble2image.py takes for a stroke what is dark in any channel
    (min < 127), so that coloured pens count; gradio_scribble_interactive.py takes what is light (min > 127,
    of a grey picture). Here light strokes are those that are light in any channel, so that coloured chalk
    counts; of grey pictures the maps are the same. control_v11p_sd15_scribble was trained with strokes of 1
    to 24 pixels' width at 512.
    """

    title: ClassVar[str] = "A drawing as white strokes on black"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = "L. Zhang et al., Adding Conditional Control, arXiv 2302.05543, user scribbles"
    licence: ClassVar[str] = "Apache-2.0 (this project)"
    label_map: ClassVar[bool] = True

    strokes: Literal["auto", "dark", "light"] = Field(
        default="auto",
        description="whether the strokes are darker or lighter than the ground; auto: what covers less is "
        "strokes",
    )
    level: int = Field(default=127, ge=1, le=254, description="brightness that parts strokes from the ground")

    def detect(self, image: Pixels) -> Pixels:
        """Return the strokes of a drawing; of an empty sheet, black."""
        dark, light = least(image) < self.level, image.max(axis=2) > self.level
        if self.strokes == "auto":
            return white(dark if dark.sum() <= light.sum() else light)
        return white(dark if self.strokes == "dark" else light)
