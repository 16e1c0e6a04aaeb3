"""Depth by MiDaS (DPT-hybrid): the nearer, the brighter."""

from collections.abc import Mapping
from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._depth import MIDAS, MIDAS_PAPER
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class DepthMidas(Condition):
    """Inverse depth up to scale and shift, stretched over each picture: nearest white, farthest black.

    Source: the annotators of ControlNet 1.0 and 1.1, on whose maps control_sd15_depth and, among others,
    control_v11f1p_sd15_depth were trained (1.1 at 256, 384 and 512). Given the same random weights and a
    photograph, 46 of 49,152 pixels differ from the annotator's (sd-webui-controlnet 56cec5b), by 1.
    """

    title: ClassVar[str] = "Depth (MiDaS): nearest white, farthest black"
    family: ClassVar[Family] = "depth"
    paper: ClassVar[str] = MIDAS_PAPER
    licence: ClassVar[str] = "code and weights MIT"
    multiple: ClassVar[int] = 64
    aliases: ClassVar[Mapping[str, str]] = {"depth": "depth_midas"}
    weights: ClassVar[tuple[Weights, ...]] = (MIDAS,)

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return the depth of a picture whose sides are multiples of 32; a flat one is black."""
        from controlnet.conditions._networks.dpt import DPTHybrid
        from controlnet.conditions._networks.load import network, to_input, to_map
        from controlnet.conditions._networks.stretch import stretched

        return to_map(stretched(network(DPTHybrid, MIDAS)(to_input(image))[0]))
