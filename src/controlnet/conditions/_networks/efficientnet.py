"""EfficientNet-B5 as TensorFlow made it: a picture to features from 1/2 to 1/32.

Source: Tan and Le, EfficientNet, arXiv 1905.11946; B5 has 2.2 times the blocks and 1.6 times the widths of
its table 1. Padding and the norms' ε of 0.001 are TensorFlow's.
"""

import re
from typing import Final, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.same import SameConv2d

STEM: Final = 48
HEAD: Final = 2048
STAGES: Final = (  # width, blocks, stride, kernel, how much wider within
    (24, 3, 1, 3, 1),
    (40, 5, 2, 3, 6),
    (64, 5, 2, 5, 6),
    (128, 7, 2, 3, 6),
    (176, 7, 1, 5, 6),
    (304, 9, 2, 5, 6),
    (512, 3, 1, 3, 6),
)


@final
class EfficientNetB5(nn.Module):
    """The stages' outputs and at last the head's, before its norm; `slim` divides all widths: for tests."""

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        self.stem = _Unit(3, STEM // slim, 3, 2)
        self.stages = nn.ModuleList()
        came = STEM // slim
        for width, blocks, stride, kernel, wider in STAGES:
            first = _Block(came, width // slim, stride, kernel, wider)
            came = width // slim
            self.stages.append(
                nn.Sequential(first, *(_Block(came, came, 1, kernel, wider) for _ in range(blocks - 1)))
            )
        self.head = nn.Conv2d(came, HEAD // slim, 1, bias=False)

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> list[Float[Tensor, "b _ _ _"]]:
        x = self.stem(pictures)  # 1/2
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return [*features, self.head(x)]


class _Unit(nn.Module):
    """Convolution, batch normalisation, and swish unless a sum may follow."""

    def __init__(self, came: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = SameConv2d(came, width, kernel, stride, groups)
        self.bn = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor, sums: bool = False) -> Tensor:
        x = self.bn(self.conv(x))
        return x if sums else F.silu(x)


class _Block(nn.Module):
    """Wider, mixed within each channel, channels weighed by their means, and narrow again."""

    def __init__(self, came: int, width: int, stride: int, kernel: int, wider: int) -> None:
        super().__init__()
        inner, squeezed = came * wider, max(1, came // 4)
        self.grow = _Unit(came, inner, 1) if wider > 1 else None
        self.mix = _Unit(inner, inner, kernel, stride, groups=inner)
        self.se = nn.ModuleDict(
            {"conv_reduce": nn.Conv2d(inner, squeezed, 1), "conv_expand": nn.Conv2d(squeezed, inner, 1)}
        )
        self.shrink = _Unit(inner, width, 1)
        self.adds = stride == 1 and came == width

    def forward(self, x: Tensor) -> Tensor:
        came = x
        x = self.mix(self.grow(x) if self.grow else x)
        weighed = F.silu(self.se["conv_reduce"](x.mean((2, 3), keepdim=True)))
        x = x * self.se["conv_expand"](weighed).sigmoid()
        x = self.shrink(x, sums=True)
        return came + x if self.adds else x


# The first stage's blocks do not grow: the same names mean other things there.
_FIRST: Final = {"conv_dw": "mix.conv", "bn1": "mix.bn", "conv_pw": "shrink.conv", "bn2": "shrink.bn"}
_OTHER: Final = {
    "conv_pw": "grow.conv",
    "bn1": "grow.bn",
    "conv_dw": "mix.conv",
    "bn2": "mix.bn",
    "conv_pwl": "shrink.conv",
    "bn3": "shrink.bn",
}
_OUTSIDE: Final = {"conv_stem": "stem.conv", "bn1": "stem.bn", "conv_head": "head"}


def own_name(key: str) -> str:
    """Return what this module calls a tensor that timm, and most published files, call `key`."""
    if found := re.match(r"blocks\.(\d)\.(\d)\.(\w+)\.", key):
        stage, block, part = found.groups()
        own = (_OTHER if int(stage) else _FIRST).get(part, part)
        return f"stages.{stage}.{block}.{own}.{key[found.end() :]}"
    part, _, rest = key.partition(".")
    return f"{_OUTSIDE.get(part, part)}.{rest}"
