"""Surface normals by the network of Bae et al., for ControlNet 1.1."""

from typing import ClassVar, final

import numpy as np

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights


@final
class NormalBae(Condition):
    """Surface normals: red to the left, green up, blue to the viewer, 127 being 0.

    A wall that faces the viewer is (127, 127, 255), one that faces left (255, 127, 127), a floor
    (127, 255, 127). Source: ControlNet 1.1, whose control_v11p_sd15_normalbae was trained on these maps
    ("blue is front, red is left, green is top", its README; the same order is ScanNet's and NYU's). Given
    the same random weights and a photograph, the map is that of ControlNet-v1-1-nightly (e2b4415).
    """

    title: ClassVar[str] = "Surface normals (Bae): red to the left, green up, blue to the viewer"
    family: ClassVar[Family] = "normals"
    paper: ClassVar[str] = (
        "G. Bae et al., Aleatoric Uncertainty in Surface Normal Estimation, arXiv 2109.09881"
    )
    licence: ClassVar[str] = "code and weights MIT; trained on ScanNet, which is for research"
    multiple: ClassVar[int] = 64
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="scannet.pt",
            megabytes=291,
            licence="MIT",
            stand_in="normal_from_depth",
            advice="it makes normals of a depth map that you bring, not of a photograph; pictures of the "
            "embedded world, and no others, have shapes_normal",
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return the normals of a picture whose sides are multiples of 32."""
        from controlnet.conditions._networks.bae import BaeNet
        from controlnet.conditions._networks.load import network, to_input

        normals = network(BaeNet, self.weights[0])(to_input(image))[0, :3]
        colours = ((normals + 1) * 0.5).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        return (colours * 255).astype(np.uint8)
