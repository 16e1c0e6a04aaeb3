"""Equation 2, around any one block F of any network:

    y_c = F(x; Θ) + Z( F( x + Z(c; Θz1); Θc ); Θz2 )

Legend: x the block's input, c the condition; Θ the locked parameters, Θc their trainable copy, Θz1 and Θz2
those of the two zero convolutions.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar, final

from torch import Tensor, nn

from controlnet.core.backbone import Layout
from controlnet.core.zero import Init, zero_conv, zero_linear

M = TypeVar("M", bound=nn.Module)


@final
class ControlledBlock(nn.Module):
    """Add control to one block: y_c = y exactly until the first training step (paper, section 3.1, eq. 2).

    Shapes: x (B,channels,h,w) and c (B,condition_channels,h,w) on maps; x (B,T,channels) and c
    (B,T,condition_channels) on tokens. F itself gets locked; what else it takes goes to it and to its copy.
    """

    def __init__(
        self,
        F: nn.Module,  # the paper's name
        channels: int = 64,
        condition_channels: int = 3,
        layout: Layout = "map",
        out_channels: int | None = None,
        init: Init = "zero",
    ) -> None:
        super().__init__()
        zero = zero_conv if layout == "map" else zero_linear
        self.copy = copy_of(F)
        self.locked = lock(F)
        self.zero1 = zero(condition_channels, channels, init)
        self.zero2 = zero(out_channels or channels, out_channels or channels, init)

    def forward(self, x: Tensor, c: Tensor, *others: Tensor) -> Tensor:
        """Return y_c."""
        y: Tensor = self.locked(x, *others)
        return y + self.zero2(self.copy(x + self.zero1(c), *others))

    def train(self, mode: bool = True) -> ControlledBlock:
        """Switch all but F, which stays as it was locked."""
        super().train(mode)
        self.locked.eval()
        return self


def lock(module: M) -> M:
    """Lock a module: no gradient into its parameters, and evaluation mode."""
    return module.requires_grad_(False).eval()


def copy_of(module: M) -> M:
    """Copy a module, Θ → Θc: trainable, sharing no storage."""
    return deepcopy(module).requires_grad_(True).train()
