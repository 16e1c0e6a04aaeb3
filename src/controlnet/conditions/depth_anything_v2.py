"""Depth by Depth Anything, version 2 or 1: the nearer, the brighter."""

from collections.abc import Mapping
from typing import ClassVar, Final, Literal, final

from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._depth import ADVICE
from controlnet.conditions._image import Pixels
from controlnet.conditions._weights import Weights

_MEGABYTES: Final = {"Small": 99, "Base": 390, "Large": 1341}


def _weights(version: int) -> tuple[Weights, ...]:
    def one(size: str, megabytes: float) -> Weights:
        if version == 1:
            repo, licence = f"LiheYoung/depth-anything-{size.lower()}-hf", "Apache-2.0"
        else:
            repo = f"depth-anything/Depth-Anything-V2-{size}-hf"
            licence = "Apache-2.0" if size == "Small" else "CC-BY-NC-4.0, non-commercial"
        return Weights(repo=repo, file=None, megabytes=megabytes, licence=licence, advice=ADVICE)

    return tuple(one(size, megabytes) for size, megabytes in _MEGABYTES.items())


@final
class DepthAnythingV2(Condition):
    """Inverse depth up to scale and shift, stretched over each picture: nearest white, farthest black.

    Source: the annotators depth_anything and depth_anything_v2 of sd-webui-controlnet, whose maps
    control_v11f1p_sd15_depth follows. Those exchange red and blue of the network's picture, and stretch it to
    sides of multiples of 14; here it sees the colours that it was trained on, and edge pixels fill up what is
    lacking. They run `size="large"`, which for version 2 is not for commercial use. Given the same random
    weights and a picture of 518×518, 8 of 268,324 pixels differ from those of Depth-Anything-V2 (a561b84), by
    1. At other sizes that code shifts its position embeddings by a tenth of a patch, and transformers does
    not; once it does not, either, one pixel of 12,348 differs.
    """

    title: ClassVar[str] = "Depth (Depth Anything): nearest white, farthest black, fine in detail"
    family: ClassVar[Family] = "depth"
    paper: ClassVar[str] = (
        "L. Yang et al., Depth Anything V2, arXiv 2406.09414; Depth Anything, arXiv 2401.10891"
    )
    licence: ClassVar[str] = "Apache-2.0; the weights of version 2 in base and large: CC-BY-NC-4.0"
    multiple: ClassVar[int] = 14
    aliases: ClassVar[Mapping[str, str]] = {"depth_anything": "depth_anything_v2(version=1)"}
    weights: ClassVar[tuple[Weights, ...]] = (*_weights(2), *_weights(1))

    version: Literal[1, 2] = Field(default=2, description="of Depth Anything")
    size: Literal["small", "base", "large"] = Field(
        default="small",
        description="size of the network; of version 2 base and large are for non-commercial use only "
        "(CC-BY-NC-4.0), all others are Apache-2.0",
    )
    resolution: Resolution = 518

    def detect(self, image: Pixels) -> Pixels:
        """Return the depth of a picture whose sides are multiples of 14; a flat one is black."""
        from controlnet.conditions._networks.depth_anything import depth_anything
        from controlnet.conditions._networks.load import pretrained, to_input, to_map
        from controlnet.conditions._networks.stretch import stretched

        wanted = ("small", "base", "large").index(self.size) + (0 if self.version == 2 else 3)
        return to_map(stretched(pretrained(depth_anything, self.weights[wanted])(to_input(image))[0]))
