"""Depth by LeReS: the nearer, the brighter."""

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._depth import ADVICE
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey
from controlnet.conditions._weights import Weights


@final
class DepthLeres(Condition):
    """Distance up to scale and shift, stretched over a picture and inverted: nearest white, farthest black.

    Source: the annotator of sd-webui-controlnet and controlnet_aux; control_v11f1p_sd15_depth was trained on
    maps of LeReS among others. Those annotators give the network its picture with red and blue exchanged and
    in 0 … 255 in place of 0 … 1; here it sees what it was trained on (tools/test_depth.py of LeReS). Given
    the same input and the same random weights, maps are those of controlnet_aux (b1aac31), byte for byte. The
    merging of several resolutions (`leres++`) is left out, as its weights are for academic use only.
    """

    title: ClassVar[str] = (
        "Depth (LeReS): nearest white, farthest black; the nearest or farthest may be cut off"
    )
    family: ClassVar[Family] = "depth"
    paper: ClassVar[str] = (
        "W. Yin et al., Learning to Recover 3D Scene Shape from a Single Image, arXiv 2012.09365"
    )
    licence: ClassVar[str] = "code and weights: Adobe Research, non-commercial"
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="res101.pth",
            megabytes=531,
            licence="Adobe Research, non-commercial",
            sha256="1d696b2ef3e8336b057d0c15bc82d2fecef821bfebe5ef9d7671a5ec5dde520b",
            advice=ADVICE,
        ),
    )

    resolution: Resolution = 512
    remove_near: float = Field(
        default=0.0, ge=0.0, le=100.0, description="percent of the distances, from the nearest on, made white"
    )
    remove_background: float = Field(
        default=0.0, ge=0.0, le=100.0, description="percent of the range, from the farthest on, made black"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the depth of a picture whose sides are multiples of 32; a flat one is white."""
        from controlnet.conditions._networks.leres import LeReS
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.stretch import stretched

        far = stretched(network(LeReS, self.weights[0])(to_input(image))[0]).cpu().numpy()
        # The published maps are cut down to 16 bits and then rounded to 8.
        far = np.rint(np.floor(far * 65535) * (255 / 65535))
        near = 255 - np.where(far > self.remove_near / 100 * 255, far, 0)
        return grey(np.where(near > self.remove_background / 100 * 255, near, 0).astype(np.uint8))
