"""HED of ControlNet, which sees soft edges: ControlNetHED.pth.

    picture − norm ─ 64 at 1/1 ─ 128 at 1/2 ─ 256 at 1/4 ─ 512 at 1/8 ─ 512 at 1/16      3×3 convolutions
                        │           │            │            │            │
                        └───────────┴── each projected to one map; their mean ──────── edges at 1/1

Sources: Xie and Tu, Holistically-Nested Edge Detection, arXiv 1504.06375, as trained anew for ControlNet (on
RGB, with the mean of the five maps in place of a learned fusion). Checked against sd-webui-controlnet 56cec5b
with the same random weights: the log-odds are the same numbers; of 55,488 pixels of its map one differs, by
1, of the safe map and the scribble none.

Legend: B batch; H W picture.
"""

from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

BLOCKS: Final = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # width, convolutions


@final
class HED(nn.Module):
    """Soft edges: (B, 3, H, W), RGB in 0 … 255, to (B, H, W), the log-odds of an edge. H, W from 16 on.

    `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.zeros(1, 3, 1, 1))
        came = 3
        for number, (width, layers) in enumerate(BLOCKS, 1):
            self.add_module(f"block{number}", _Block(came, width // slim, layers))
            came = width // slim

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        x, sides = pictures - self.norm, list[Tensor]()
        for number in range(1, len(BLOCKS) + 1):
            if number > 1:
                x = F.max_pool2d(x, 2)
            x, side = self.get_submodule(f"block{number}")(x)
            sides.append(F.interpolate(side, pictures.shape[2:], mode="bilinear"))
        return torch.cat(sides, dim=1).mean(dim=1)


class _Block(nn.Module):
    def __init__(self, came: int, width: int, layers: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width if i else came, width, 3, padding=1) for i in range(layers)
        )
        self.projection = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for conv in self.convs:
            x = F.relu(conv(x))
        return x, self.projection(x)
