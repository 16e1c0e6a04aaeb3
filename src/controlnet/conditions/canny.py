"""Canny edges: white lines, one pixel wide, where brightness changes sharply."""

from typing import ClassVar, Self, final

import cv2
from pydantic import Field, model_validator

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels


@final
class Canny(Condition):
    """Canny's edge detector: white edges on black, one pixel wide.

    Source: Canny, "A Computational Approach to Edge Detection", 1986. The ControlNet paper (2302.05543v1)
    trained with random thresholds; 100 and 200 are the customary ones in use.
    """

    title: ClassVar[str] = "Canny edges: thin white lines where brightness changes sharply"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = "J. Canny, A Computational Approach to Edge Detection, IEEE TPAMI 8(6), 1986"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    label_map: ClassVar[bool] = True

    low: int = Field(
        default=100, ge=1, le=255, description="gradient above which a line that is begun goes on"
    )
    high: int = Field(default=200, ge=1, le=255, description="gradient above which a line begins")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low={self.low} is above high={self.high}; wanted low at most high")
        return self

    def detect(self, image: Pixels) -> Pixels:
        """Return the edges of a picture; of the three channels the steepest counts at each pixel."""
        edges = cv2.Canny(image, self.low, self.high)
        return cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB)  # pyright: ignore[reportReturnType]
