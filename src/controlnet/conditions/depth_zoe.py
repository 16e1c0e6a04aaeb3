"""Depth by ZoeDepth: the nearer, the brighter."""

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._depth import ADVICE
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey
from controlnet.conditions._weights import Weights


@final
class DepthZoe(Condition):
    """Distance in metres, stretched and inverted: the nearest 2 % white, the farthest 15 % black.

    Source: the annotator of ControlNet 1.1, on whose maps control_v11f1p_sd15_depth was trained, among
    others. It has the weights for rooms; by default here are those that know streets, too. With the same
    stand-in for the network, maps are those of ControlNet-v1-1-nightly (e2b4415), byte for byte.
    """

    title: ClassVar[str] = "Depth (ZoeDepth): nearest white, farthest black, from distances in metres"
    family: ClassVar[Family] = "depth"
    paper: ClassVar[str] = "S. F. Bhat et al., ZoeDepth, arXiv 2302.12288"
    licence: ClassVar[str] = "code and weights MIT"
    weights: ClassVar[tuple[Weights, ...]] = tuple(
        Weights(repo=f"Intel/zoedepth-{data}", file=None, megabytes=1400, licence="MIT", advice=ADVICE)
        for data in ("nyu-kitti", "nyu")
    )

    scenes: Literal["rooms and streets", "rooms"] = Field(
        default="rooms and streets",
        description="what the weights were trained on: NYU and KITTI, or NYU, as ControlNet 1.1's",
    )
    resolution: int | None = Field(
        default=512,
        ge=64,
        le=4096,
        description="short side in pixels of the map and of what the network is given, which it fits to "
        "384×512 for itself; None: the picture's own",
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the depth of a picture; a flat one is white."""
        from controlnet.conditions._networks.load import pretrained, to_input
        from controlnet.conditions._networks.zoe import zoe

        both, rooms = self.weights
        model = pretrained(zoe, both if self.scenes == "rooms and streets" else rooms)
        distance = model(to_input(image)).cpu().numpy()
        least, most = np.percentile(distance, (2, 85)).astype(distance.dtype)
        far = (distance - least) / (most - least) if most > least else np.zeros_like(distance)
        return grey(((1 - far) * 255).clip(0, 255).astype(np.uint8))
