"""Normals from MiDaS's depth, for ControlNet 1.0."""

import math
from collections.abc import Mapping
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._depth import MIDAS, MIDAS_PAPER
from controlnet.conditions._image import Pixels
from controlnet.conditions._relief import Order, relief
from controlnet.conditions._weights import Weights


@final
class NormalMidas(Condition):
    """Normals of the surface that inverse depth makes over the picture: x to the left, y up, z to the viewer.

    Red, green and blue show z, y and x, 127 being 0: what faces the viewer is (255, 127, 127). So
    control_sd15_normal was trained: ControlNet 1.0 (gradio_normal2image.py) exchanges red and blue of the
    annotator's map before the network gets it, and sd-webui-controlnet and controlnet_aux do so in the
    annotator. Control nets of other normals want `order="xyz"`, or rather `normal_bae`.

    Source: the annotator of ControlNet 1.0: x and y are Sobel's derivatives (3×3), z is `flatness`; where
    nearness, stretched to 0 … 1, is below `background`, x and y are 0. Given the same random weights and a
    photograph, 32 of 147,456 bytes differ from those of sd-webui-controlnet (56cec5b), by 1.
    """

    title: ClassVar[str] = "Normals from depth (MiDaS), for ControlNet 1.0: what faces the viewer is red"
    family: ClassVar[Family] = "normals"
    paper: ClassVar[str] = MIDAS_PAPER
    licence: ClassVar[str] = "code and weights MIT"
    multiple: ClassVar[int] = 64
    aliases: ClassVar[Mapping[str, str]] = {"normal_map": "normal_midas"}
    weights: ClassVar[tuple[Weights, ...]] = (MIDAS,)

    resolution: Resolution = 512
    background: float = Field(
        default=0.4,
        ge=0.0,
        le=1.0,
        description="nearness, from 0 (farthest) to 1, below which all faces the viewer",
    )
    flatness: float = Field(
        default=2 * math.pi,
        ge=0.1,
        le=100.0,
        description="weight of the direction to the viewer against the slopes; ControlNet 1.0 takes 2π",
    )
    order: Order = Field(
        default="zyx",
        description="axes that red, green and blue show: zyx for ControlNet 1.0, xyz for all others",
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the normals of a picture whose sides are multiples of 32."""
        from controlnet.conditions._networks.dpt import DPTHybrid
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.stretch import stretched

        near = network(DPTHybrid, MIDAS)(to_input(image))[0]
        far = stretched(near) < self.background
        return relief(near.cpu().numpy(), self.flatness, self.order, far.cpu().numpy())
