"""Line art with few and broad lines."""

from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._lineart import LICENCE, PAPER, informative_drawing
from controlnet.conditions._weights import Weights


@final
class LineArtCoarse(Condition):
    """A drawing of the picture with few, coarse lines, light on black.

    Source: the annotator "Lineart_Coarse" of ControlNet 1.1, on whose maps, inverted,
    control_v11p_sd15_lineart was trained.
    """

    title: ClassVar[str] = "Line art, coarse: a drawing with few, broad lines"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = PAPER
    licence: ClassVar[str] = LICENCE
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="sk_model2.pth",
            megabytes=17,
            licence="MIT",
            sha256="30a534781061f34e83bb9406b4335da4ff2616c95d22a585c1245aa8363e74e0",
            stand_in="lineart_standard",
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return a drawing of a picture whose sides are multiples of 4."""
        return informative_drawing(image, self.weights[0])
