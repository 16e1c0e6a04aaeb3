"""Line art of anime and manga, cleaned of screens and shades."""

from typing import ClassVar, final

import cv2

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class LineArtAnimeDenoise(Condition):
    """The structural lines of a drawing without its screens, hatchings and noise, light on black.

    Source: the annotator of that name of sd-webui-controlnet, for control_v11p_sd15s2_lineart_anime.
    """

    title: ClassVar[str] = "Line art, anime, cleaned: the lines of a drawing without screens and noise"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = "C. Li et al., Deep Extraction of Manga Structural Lines, ACM TOG 36(4), 2017"
    licence: ClassVar[str] = "code and weights MIT"
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="erika.pth",
            megabytes=173,
            licence="MIT",
            sha256="badbd6baf013cefbd98993307b02cc14a26c770d067416e4fdecc8720b88feeb",
            stand_in="lineart_standard",
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return the lines of a picture whose sides are multiples of 16."""
        from controlnet.conditions._networks.erika import Erika
        from controlnet.conditions._networks.load import network, to_input, to_map

        grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        drawing = network(Erika, self.weights[0])(to_input(grey)[:, :1])[0]
        return to_map(1 - drawing / 255)
