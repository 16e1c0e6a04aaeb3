"""Depth Anything of transformers: a picture to how near things are.

Sources: Yang et al., Depth Anything, arXiv 2401.10891; Depth Anything V2, arXiv 2406.09414.
"""

from pathlib import Path
from typing import Any, final

from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.folder import from_folder
from controlnet.conditions._networks.imagenet import standardised
from controlnet.conditions._networks.load import ready


@final
class DepthAnything(nn.Module):
    """Nearness of each pixel up to an unknown scale and shift: (B, 3, H, W), RGB in 0 … 255, to (B, H, W).

    H and W are multiples of 14.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b h w"]:
        said: Any = self.model(pixel_values=standardised(pictures))
        return said.predicted_depth


def depth_anything(folder: Path) -> DepthAnything:
    """Return the model of a folder of transformers; CheckpointError for what is missing in it or damaged."""
    from transformers import DepthAnythingForDepthEstimation

    return ready(DepthAnything(from_folder(DepthAnythingForDepthEstimation, folder)))
