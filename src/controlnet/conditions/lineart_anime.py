"""Line art of anime."""

from typing import ClassVar, final

import cv2
import numpy as np

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights

MULTIPLE = 256  # of the sides that the network takes: it halves them eight times


@final
class LineArtAnime(Condition):
    """A drawing as of anime, light lines on black.

    Source: the annotator "Lineart_Anime" of ControlNet 1.1, on whose maps, inverted,
    control_v11p_sd15s2_lineart_anime was trained. As there the picture is stretched, not padded, to sides
    that are multiples of 256.
    """

    title: ClassVar[str] = "Line art, anime: a drawing as of anime"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = "X. Xiang et al., Adversarial Open Domain Adaptation (Anime2Sketch), 2104.05703"
    licence: ClassVar[str] = "code and weights MIT"
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="netG.pth",
            megabytes=218,
            licence="MIT",
            sha256="ccabdcc3f5cf3c07cf65d58776acb21df7dfda825cdc70c9766a93fd62bfc488",
            stand_in="lineart_standard",
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return a drawing of a picture."""
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.pix2pix import Anime2Sketch

        height, width = image.shape[:2]
        size = (width + -width % MULTIPLE, height + -height % MULTIPLE)
        stretched = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        drawing = network(Anime2Sketch, self.weights[0])(to_input(stretched))[0] * 255
        back = cv2.resize(drawing.cpu().numpy(), (width, height), interpolation=cv2.INTER_CUBIC)
        return np.repeat(255 - back.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
