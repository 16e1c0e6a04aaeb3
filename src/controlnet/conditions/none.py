"""The picture itself as its map."""

from collections.abc import Mapping
from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels


@final
class Unchanged(Condition):
    """The picture itself, RGB: for maps that are ready, and for ControlNets controlled by pictures.

    Source: "none" of sd-webui-controlnet. control_v11e_sd15_ip2p gets the picture as it is.
    """

    title: ClassVar[str] = "The picture itself, for maps that are ready and for instruct-pix2pix"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "none; ip2p: T. Brooks et al., InstructPix2Pix, arXiv 2211.09800"
    licence: ClassVar[str] = "Apache-2.0 (this project)"
    aliases: ClassVar[Mapping[str, str]] = {"ip2p": "none"}

    def detect(self, image: Pixels) -> Pixels:
        """Return the picture."""
        return image.copy()
