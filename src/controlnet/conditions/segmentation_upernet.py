"""Segmentation by UPerNet over UniFormer-S: each pixel in the colour of its ADE20K class."""

from collections.abc import Mapping
from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._palettes import ADE20K
from controlnet.conditions._segmenting import ADVICE
from controlnet.conditions._weights import Weights


@final
class SegmentationUPerNet(Condition):
    """The 150 classes of ADE20K, each pixel in its class's standard colour (see `_palettes`).

    Source: the annotator of ControlNet 1.0 and 1.1, which trained control_sd15_seg and control_v11p_sd15_seg
    on such maps. The published annotator gives the network red and blue exchanged (it takes its RGB picture
    for BGR); here the network sees what it was trained on. Given a photograph of 768×512 with its channels
    exchanged, and the same random weights, the two maps are the same in every pixel.
    """

    title: ClassVar[str] = "Segmentation (UPerNet): 150 kinds of things and stuff, in ADE20K's colours"
    paper: ClassVar[str] = "K. Li et al., UniFormer, 2201.09450; T. Xiao et al., UPerNet, arXiv 1807.10221"
    licence: ClassVar[str] = "code and weights Apache-2.0; ADE20K's annotations are for research"
    family: ClassVar[Family] = "segmentation"
    label_map: ClassVar[bool] = True
    multiple: ClassVar[int] = 32
    aliases: ClassVar[Mapping[str, str]] = {
        "seg_ufade20k": "segmentation_upernet",
        "segmentation": "segmentation_upernet",
    }
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="lllyasviel/Annotators",
            file="upernet_global_small.pth",
            megabytes=206,
            licence="Apache-2.0",
            advice=ADVICE,
        ),
    )

    resolution: Resolution = 512

    def detect(self, image: Pixels) -> Pixels:
        """Return the class colours of a picture whose sides are multiples of 32."""
        from controlnet.conditions._networks.load import network, to_input
        from controlnet.conditions._networks.uniformer import UniFormer

        logits = network(UniFormer, self.weights[0])(to_input(image))
        return ADE20K.paint(logits[0].argmax(dim=0).cpu().numpy())
