"""ControlNet-lite: the paper's ablation of the copy, one convolution for each block, started from nothing.

It knows neither the prompt nor the timestep. Source: paper, section 4.2; it loses in the table of ADE20K.

Legend: B batch, C h w latents, Ci hi wi the map of tap i.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import final

import torch.nn.functional as F
from torch import Tensor, nn

from controlnet.core.backbone import Tap


@final
class LiteCopy(nn.Module):
    """A chain of 3×3 convolutions with the channels and strides of the taps."""

    def __init__(self, in_channels: int, taps: Sequence[Tap]) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, taps[0].channels, 3, padding=1)
        self.rest = nn.ModuleList(
            nn.Conv2d(before.channels, tap.channels, 3, stride=tap.stride // before.stride, padding=1)
            for before, tap in pairwise(taps)
        )

    def forward(self, x: Tensor, hint: Tensor) -> tuple[Tensor, ...]:
        """Return a feature for each tap: (B,C,h,w) → (B,Ci,hi,wi)."""
        features: list[Tensor] = [self.first(x) + hint]
        for conv in self.rest:
            features.append(conv(F.silu(features[-1])))
        return tuple(features)
