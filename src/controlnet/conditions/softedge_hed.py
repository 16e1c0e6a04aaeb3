"""Soft edges by HED: the surer an edge, the brighter."""

from collections.abc import Mapping
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._edges import HED_PAPER, HED_WEIGHTS, MULTIPLE, SAFE, hed_edges
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class SoftEdgeHED(Condition):
    """The outlines of things, soft and some pixels wide, light on black; texture is left out.

    Source: the annotator "SoftEdge_HED" of ControlNet 1.1, on whose maps, three of four of them "safe",
    control_v11p_sd15_softedge was trained; control_sd15_hed of 1.0 takes them too.
    """

    title: ClassVar[str] = "Soft edges (HED): the surer an outline, the brighter"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = HED_PAPER
    licence: ClassVar[str] = "code and weights Apache-2.0"
    multiple: ClassVar[int] = MULTIPLE
    aliases: ClassVar[Mapping[str, str]] = {
        "hed": "softedge_hed",
        "hed_safe": "softedge_hed(safe=True)",
        "softedge_hedsafe": "softedge_hed(safe=True)",
    }
    weights: ClassVar[tuple[Weights, ...]] = (HED_WEIGHTS,)

    resolution: Resolution = 512
    safe: bool = Field(default=False, description=SAFE)

    def detect(self, image: Pixels) -> Pixels:
        """Return the edges of a picture."""
        return hed_edges(image, self.weights[0], self.safe)
