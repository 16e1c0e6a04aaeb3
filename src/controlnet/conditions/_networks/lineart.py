"""The drawer of lines of "informative drawings": sk_model.pth, and sk_model2.pth for coarser ones.

    picture ─ 64 at 1/1 ─ 128 at 1/2 ─ 256 at 1/4 ─ three residual blocks ─ 128 at 1/2 ─ 64 at 1/1 ─ drawing

Source: Chan, Durand, Isola, Learning to Generate Line Drawings that Convey Geometry and Semantics, arXiv
2203.12691. Checked against sd-webui-controlnet 56cec5b with the same random weights: the drawings are the
same, of both files.

Legend: B batch; H W picture.
"""

import re
from collections.abc import Mapping
from typing import Final, final

from jaxtyping import Float
from torch import Tensor, nn

WIDTH: Final = 64
BLOCKS: Final = 3

_RENAMED: Final = (
    (r"^model0\.1\.", "first.1."),
    (r"^model1\.(0|3)\.", r"down.\1."),
    (r"^model2\.(\d)\.conv_block\.", r"blocks.\1.layers."),
    (r"^model3\.(0|3)\.", r"up.\1."),
    (r"^model4\.1\.", "last.1."),
)


@final
class LineArt(nn.Module):
    """Drawings: (B, 3, H, W), RGB in 0 … 255, to (B, H, W) in 0 … 1, dark lines on white.

    H and W are multiples of 4. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        narrow, middle, wide = (WIDTH // slim * times for times in (1, 2, 4))
        self.first = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(3, narrow, 7), *_calmed(narrow))
        self.down = nn.Sequential(*_halved(narrow, middle), *_halved(middle, wide))
        self.blocks = nn.Sequential(*(_Residual(wide) for _ in range(BLOCKS)))
        self.up = nn.Sequential(*_doubled(wide, middle), *_doubled(middle, narrow))
        self.last = nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(narrow, 1, 7), nn.Sigmoid())

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        x = self.down(self.first(pictures / 255))
        return self.last(self.up(self.blocks(x)))[:, 0]

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does."""
        named: dict[str, Tensor] = {}
        for key, value in state.items():
            for old, new in _RENAMED:
                key = re.sub(old, new, key)
            named[key] = value
        return named


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = ([nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3)] for _ in range(2))
        self.layers = nn.Sequential(*first, *_calmed(width), *second, nn.InstanceNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


def _halved(came: int, width: int) -> list[nn.Module]:
    return [nn.Conv2d(came, width, 3, stride=2, padding=1), *_calmed(width)]


def _doubled(came: int, width: int) -> list[nn.Module]:
    return [nn.ConvTranspose2d(came, width, 3, stride=2, padding=1, output_padding=1), *_calmed(width)]


def _calmed(width: int) -> list[nn.Module]:
    return [nn.InstanceNorm2d(width), nn.ReLU()]
