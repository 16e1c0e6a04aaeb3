"""Z, the zero convolution: 1×1 on maps, a linear layer on tokens, its weight and bias zero at first.

For y = w·x + b: ∂y/∂w = x, ∂y/∂b = 1, ∂y/∂x = w. At w = 0 nothing flows to x, but the gradients of w and b
are not zero, so that after one step w ≠ 0 and learning reaches inwards.

Source: paper, section 3.1. The Gaussian start is its ablation (section 4.2): a convolution like any other, so
that the first steps bring noise into the locked network.
"""

from typing import Literal

from torch import nn

Init = Literal["zero", "gaussian"]


def zero_conv(in_channels: int, out_channels: int, init: Init = "zero", kernel_size: int = 1) -> nn.Conv2d:
    """Z on maps: (B,in,h,w) → (B,out,h,w), zero at first."""
    layer = nn.Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
    _start(layer, init)
    return layer


def zero_linear(in_features: int, out_features: int, init: Init = "zero") -> nn.Linear:
    """Z on tokens: (B,T,in) → (B,T,out), zero at first."""
    layer = nn.Linear(in_features, out_features)
    _start(layer, init)
    return layer


def _start(layer: nn.Conv2d | nn.Linear, init: Init) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    if init == "gaussian":
        nn.init.normal_(layer.weight, std=layer.weight[0].numel() ** -0.5)  # keeps the scale of its input
