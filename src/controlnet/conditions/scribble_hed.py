"""Scribbles by HED: what a hand would draw along a picture's outlines."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._edges import HED_PAPER, HED_WEIGHTS, SAFE, hed_edges, scribbled
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class ScribbleHED(Condition):
    """Broad white strokes on black, about thirteen pixels wide, along the outlines that HED finds.

    Source: the annotator "Scribble_HED" of ControlNet 1.1 (control_v11p_sd15_scribble); "fake scribbles" in
    1.0 (control_sd15_scribble) and in the paper.
    """

    title: ClassVar[str] = "Scribbles (HED): broad strokes along the outlines, as drawn by hand"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = HED_PAPER
    licence: ClassVar[str] = "code and weights Apache-2.0"
    label_map: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {
        "fake_scribble": "scribble_hed",
        "scribble_hedsafe": "scribble_hed(safe=True)",
    }
    weights: ClassVar[tuple[Weights, ...]] = (replace(HED_WEIGHTS, stand_in="scribble_xdog"),)

    resolution: Resolution = 512
    safe: bool = Field(default=False, description=f"draw along the safe soft edges: {SAFE}")

    def detect(self, image: Pixels) -> Pixels:
        """Return the strokes along a picture's outlines."""
        return scribbled(image, lambda padded: hed_edges(padded, self.weights[0], self.safe))
