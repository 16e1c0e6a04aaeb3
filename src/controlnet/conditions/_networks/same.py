"""Padding as TensorFlow's "same": networks born there pad less at the top and left than elsewhere."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def same_padded(
    x: Float[Tensor, "b c h w"], kernel: int, stride: int, value: float = 0.0
) -> Float[Tensor, "b c h2 w2"]:
    """Return maps with as much around them that a kernel yields ⌈side / stride⌉ values along each side."""
    lacking = [max(0, (-(-side // stride) - 1) * stride + kernel - side) for side in x.shape[2:]]
    (top, bottom), (left, right) = ((short // 2, short - short // 2) for short in lacking)
    return F.pad(x, (left, right, top, bottom), value=value)


class SameConv2d(nn.Conv2d):
    """A square convolution that pads so."""

    def __init__(
        self, came: int, width: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
    ) -> None:
        super().__init__(came, width, kernel, stride, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(same_padded(input, self.kernel_size[0], self.stride[0]))
