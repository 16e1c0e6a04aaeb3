"""Scribbles by PiDiNet: what a hand would draw along a picture's outlines."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._edges import PIDINET_PAPER, PIDINET_WEIGHTS, SAFE, scribbled, soft_edges
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class ScribblePiDiNet(Condition):
    """Broad white strokes on black, about thirteen pixels wide, along the outlines that PiDiNet finds.

    Source: the annotator "Scribble_PIDI" of ControlNet 1.1 (control_v11p_sd15_scribble).
    """

    title: ClassVar[str] = "Scribbles (PiDiNet): broad strokes along the outlines, as drawn by hand"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = PIDINET_PAPER
    licence: ClassVar[str] = "code and weights for research only"
    label_map: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {
        "pidinet_scribble": "scribble_pidinet",
        "scribble_pidsafe": "scribble_pidinet(safe=True)",
    }
    weights: ClassVar[tuple[Weights, ...]] = (replace(PIDINET_WEIGHTS, stand_in="scribble_xdog"),)

    resolution: Resolution = 512
    safe: bool = Field(default=False, description=f"draw along the safe soft edges: {SAFE}")

    def detect(self, image: Pixels) -> Pixels:
        """Return the strokes along a picture's outlines."""
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.pidinet import PiDiNet

        def edges(pixels: Pixels) -> Pixels:
            bgr = to_input(pixels).flip(1) / 255
            return soft_edges(network(PiDiNet, self.weights[0])(bgr)[0].sigmoid(), self.safe)

        return scribbled(image, edges)
