"""Scribbles by PiDiNet: what a hand would draw along a picture's outlines."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._edges import PIDINET_PAPER, PIDINET_WEIGHTS, SAFE, pidinet_edges, scribbled
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
        return scribbled(image, lambda padded: pidinet_edges(padded, self.weights[0], self.safe))
