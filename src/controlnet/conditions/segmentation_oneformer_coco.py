"""Segmentation by OneFormer: each pixel in the colour of its COCO class."""

from collections.abc import Mapping
from typing import ClassVar, final

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._palettes import COCO
from controlnet.conditions._segmenting import ADVICE, LICENCE, PAPER, painted
from controlnet.conditions._weights import Weights


@final
class SegmentationOneFormerCOCO(Condition):
    """The 133 classes of COCO (80 things, 53 kinds of stuff), each in its standard colour (see `_palettes`).

    Source: the annotator "OneFormer COCO" of ControlNet 1.1 (control_v11p_sd15_seg), which runs the network
    at a short side of 800. It draws white lines around regions as that for ADE20K does; here there are none.
    """

    title: ClassVar[str] = "Segmentation (OneFormer): 133 kinds of things and stuff, in COCO's colours"
    paper: ClassVar[str] = PAPER
    licence: ClassVar[str] = LICENCE
    family: ClassVar[Family] = "segmentation"
    label_map: ClassVar[bool] = True
    multiple: ClassVar[int] = 32
    aliases: ClassVar[Mapping[str, str]] = {
        "seg_ofcoco": "segmentation_oneformer_coco",
        "oneformer_coco": "segmentation_oneformer_coco",
    }
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="shi-labs/oneformer_coco_swin_large",
            file=None,
            megabytes=880,
            licence="MIT",
            advice=ADVICE,
        ),
    )

    resolution: Resolution = 800

    def detect(self, image: Pixels) -> Pixels:
        """Return the class colours of a picture."""
        return painted(image, self.weights[0], COCO)
