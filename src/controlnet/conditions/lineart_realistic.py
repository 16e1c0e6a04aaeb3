"""Line art as an artist draws a photograph."""

from collections.abc import Mapping
from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._lineart import LICENCE, PAPER, informative_drawing
from controlnet.conditions._weights import Weights


@final
class LineArtRealistic(Condition):
    """A drawing of the picture with fine lines, light on black.

    Source: the annotator "Lineart" of ControlNet 1.1, on whose maps, inverted, control_v11p_sd15_lineart was
    trained.
    """

    title: ClassVar[str] = "Line art, realistic: a fine drawing of the picture"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = PAPER
    licence: ClassVar[str] = LICENCE
    multiple: ClassVar[int] = 64
    aliases: ClassVar[Mapping[str, str]] = {"lineart": "lineart_realistic"}
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="sk_model.pth",
            megabytes=17,
            licence="MIT",
            sha256="c686ced2a666b4850b4bb6ccf0748031c3eda9f822de73a34b8979970d90f0c6",
            stand_in="lineart_standard",
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return a drawing of a picture whose sides are multiples of 4."""
        return informative_drawing(image, self.weights[0])
