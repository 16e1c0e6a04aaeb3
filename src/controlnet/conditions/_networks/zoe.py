"""ZoeDepth of transformers: a picture to distances in metres.

Source: Bhat et al., ZoeDepth, arXiv 2302.12288. Its pictures are mirrored outwards, fitted to 384×512, seen
as they are and left to right, and the mean is taken, as the published inference does. That is done here:
the model's own processor needs torchvision for the way back. Checked against the `infer` of
ControlNet-v1-1-nightly (e2b4415) around the same small network, on pictures of four sizes: no difference.
"""

from pathlib import Path
from typing import Any, Final, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.folder import from_folder
from controlnet.conditions._networks.load import ready

HEIGHT: Final = 384  # of the pictures that it was trained on
WIDTH: Final = 512
MULTIPLE: Final = 32
MARGIN: Final = 3.0  # pixels of a margin for each √(side / 2)


@final
class Zoe(nn.Module):
    """Distance of each pixel: (1, 3, H, W), RGB in 0 … 255, to (H, W) in metres."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "h w"]:
        both = [self._seen(picture), self._seen(picture.flip(3)).flip(1)]
        return (both[0] + both[1]) / 2

    def _seen(self, picture: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "h w"]:
        height, width = picture.shape[2:]
        # A mirror shows less than the whole picture.
        tall, wide = (min(int((side / 2) ** 0.5 * MARGIN), side - 1) for side in (height, width))
        x = F.pad(picture / 255, (wide, wide, tall, tall), mode="reflect")
        sides = x.shape[2:]
        x = F.interpolate(x, fitted(*sides), mode="bilinear", align_corners=True)
        said: Any = self.model(pixel_values=(x - 0.5) / 0.5)
        depth = F.interpolate(said.predicted_depth[:, None], sides, mode="bicubic")
        return depth[0, 0, tall : tall + height, wide : wide + width]


def fitted(height: int, width: int) -> tuple[int, int]:
    """Return the sides that the model works at: one as in its training, whichever changes the size less."""
    scale = min((HEIGHT / height, WIDTH / width), key=lambda scale: abs(1 - scale))
    tall, wide = (max(1, round(scale * side / MULTIPLE)) * MULTIPLE for side in (height, width))
    return tall, wide


def zoe(folder: Path) -> Zoe:
    """Return the model of a folder of transformers; CheckpointError for what is missing in it or damaged."""
    from transformers import ZoeDepthForDepthEstimation

    return ready(Zoe(from_folder(ZoeDepthForDepthEstimation, folder)))
