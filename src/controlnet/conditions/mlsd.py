"""Straight lines by M-LSD."""

from typing import ClassVar, final

import cv2
import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class MLSD(Condition):
    """White lines on black, one pixel wide where the detector works; a picture may have none.

    Source: the annotator of ControlNet 1.1 (control_v11p_sd15_mlsd), with its two thresholds. It swallows
    every error and then shows no line; here an error is one. Lines are blended, not picked, when the map is
    resized: else some would vanish from a smaller one.
    """

    title: ClassVar[str] = "Straight lines (M-LSD): walls, furniture, streets"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = (
        "G. Gu et al., Towards Light-weight and Real-time Line Segment Detection, arXiv 2106.00186"
    )
    licence: ClassVar[str] = "code and weights Apache-2.0"
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="mlsd_large_512_fp32.pth",
            megabytes=6.3,
            licence="Apache-2.0",
            sha256="5696f168eb2c30d4374bbfd45436f7415bb4d88da29bea97eea0101520fba082",
            stand_in="lines",
        ),
    )

    resolution: Resolution = 512
    value_threshold: float = Field(
        default=0.1,
        ge=0.01,
        le=2.0,
        description="score above which a line is drawn; none exceeds 1",
    )
    distance_threshold: float = Field(
        default=0.1, ge=0.01, le=20.0, description="length above which a line is drawn, in double pixels"
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the lines of a picture whose sides are multiples of 16."""
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.mlsd import MLSD, lines

        maps = network(MLSD, self.weights[0])(to_input(image))[0]
        found = lines(maps, self.value_threshold, self.distance_threshold).cpu().numpy()
        ends = found.astype(np.int32).reshape(-1, 2, 2)  # fractions are cut off
        drawn = np.zeros(image.shape[:2], np.uint8)
        cv2.polylines(drawn, list(ends), isClosed=False, color=255)
        return np.repeat(drawn[..., None], 3, axis=2)
