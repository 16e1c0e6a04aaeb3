"""Light for dark: a drawing on paper into light lines on black."""

from collections.abc import Mapping
from typing import ClassVar, final

import numpy as np

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels


@final
class Invert(Condition):
    """255 minus the picture: dark lines on white paper become light lines on black, greys and colours stay.

    That is what the ControlNets of lines and edges want of a drawing that is ready (white is "line").
    Source: "invert" of sd-webui-controlnet, whose map is the same.
    """

    title: ClassVar[str] = "Inverted picture: black lines on white become white lines on black"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "none; sd-webui-controlnet, invert"
    licence: ClassVar[str] = "Apache-2.0 (this project)"
    aliases: ClassVar[Mapping[str, str]] = {"invert (from white bg & black line)": "invert"}

    def detect(self, image: Pixels) -> Pixels:
        """Return the inverted picture."""
        return np.uint8(255) - image
