"""Segmentation by OneFormer: each pixel in the colour of its ADE20K class."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._palettes import ADE20K
from controlnet.conditions._segmenting import ADVICE, LICENCE, PAPER, painted
from controlnet.conditions._weights import Weights


@final
class SegmentationOneFormerADE20K(Condition):
    """The 150 classes of ADE20K, each pixel in its class's standard colour (see `_palettes`).

    Source: the annotator "OneFormer ADE20K" of ControlNet 1.1 (control_v11p_sd15_seg), which runs the large
    network at a short side of 640. It draws its map as a figure, with a white line around every region that
    has no hole; here every pixel has a class's colour, as in the annotated maps of ADE20K itself.
    """

    title: ClassVar[str] = "Segmentation (OneFormer): 150 kinds of things and stuff, in ADE20K's colours"
    paper: ClassVar[str] = PAPER
    licence: ClassVar[str] = LICENCE
    family: ClassVar[Family] = "segmentation"
    label_map: ClassVar[bool] = True
    multiple: ClassVar[int] = 32
    aliases: ClassVar[Mapping[str, str]] = {
        "seg_ofade20k": "segmentation_oneformer_ade20k",
        "oneformer_ade20k": "segmentation_oneformer_ade20k",
    }
    weights: ClassVar[tuple[Weights, ...]] = (
        Weights(
            repo="shi-labs/oneformer_ade20k_swin_large",
            file=None,
            megabytes=880,
            licence="MIT",
            advice=ADVICE,
        ),
        Weights(
            repo="shi-labs/oneformer_ade20k_swin_tiny",
            file=None,
            megabytes=203,
            licence="MIT",
            advice=ADVICE,
        ),
    )

    size: Literal["large", "tiny"] = Field(
        default="large", description="size of the network (Swin): large is the better, tiny the faster one"
    )
    resolution: Resolution = 640

    def detect(self, image: Pixels) -> Pixels:
        """Return the class colours of a picture."""
        large, tiny = self.weights
        return painted(image, large if self.size == "large" else tiny, ADE20K)
