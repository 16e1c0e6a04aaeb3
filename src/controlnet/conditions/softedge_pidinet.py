"""Soft edges by PiDiNet: the surer an edge, the brighter."""

from collections.abc import Mapping
from typing import ClassVar, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._edges import MULTIPLE, PIDINET_PAPER, PIDINET_WEIGHTS, SAFE, pidinet_edges
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class SoftEdgePiDiNet(Condition):
    """The outlines of things, soft and thinner than HED's, light on black.

    Source: the annotator "SoftEdge_PIDI" of ControlNet 1.1, on whose maps, three of four of them "safe",
    control_v11p_sd15_softedge was trained. The network gets BGR in 0 … 1 there and so here, though its
    authors trained it with RGB, standardised: these maps are what the ControlNet knows.
    """

    title: ClassVar[str] = "Soft edges (PiDiNet): the surer an outline, the brighter"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = PIDINET_PAPER
    licence: ClassVar[str] = "code and weights for research only"
    multiple: ClassVar[int] = MULTIPLE
    aliases: ClassVar[Mapping[str, str]] = {
        "pidinet": "softedge_pidinet",
        "pidinet_safe": "softedge_pidinet(safe=True)",
        "softedge_pidisafe": "softedge_pidinet(safe=True)",
        "softedge_pidsafe": "softedge_pidinet(safe=True)",
    }
    weights: ClassVar[tuple[Weights, ...]] = (PIDINET_WEIGHTS,)

    resolution: Resolution = 512
    safe: bool = Field(default=False, description=SAFE)

    def detect(self, image: Pixels) -> Pixels:
        """Return the edges of a picture."""
        return pidinet_edges(image, self.weights[0], self.safe)
