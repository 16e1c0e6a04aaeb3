"""The drawer of clean lines from manga and anime: erika.pth.

    grey ─ 24 at 1/1 ─ 48 at 1/2 ─ 96 at 1/4 ─ 192 at 1/8 ─ 384 at 1/16
             │           │           │            │           │
    lines ─ 24 ──────── 48 ──────── 96 ───────── 192 ─────────┘            each added to the one above it

All of residual blocks: normalised, activated, convolved, twice. Source: Li, Liu, Wong, Deep Extraction of
Manga Structural Lines, ACM TOG 36(4), 2017. Checked against sd-webui-controlnet 56cec5b with the same random
weights: the drawings are the same, and of 55,488 pixels of the map one differs, by 1.

Legend: B batch; H W picture.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTHS: Final = (24, 48, 96, 192, 384)
BLOCKS: Final = (2, 3, 5, 7, 12)  # down to each width; the same number up to it again
LAST: Final = 16  # channels before the lines

Step = Literal["same", "half", "double"]

_PLACE: Final = r"^(?:module\.)?block(\d)\.model\.(\d+)\."
_PARTS: Final = (("conv1.model.", "first."), ("residual.model.", "second."), ("shortcut.model.0.", "beside."))


@final
class Erika(nn.Module):
    """Drawings: (B, 1, H, W), grey in 0 … 255, to (B, H, W), dark lines on white, about 0 … 255.

    H and W are multiples of 16. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        widths = [width // slim for width in WIDTHS]
        stages = [_stage(1, widths[0], BLOCKS[0], "same")]
        stages += [_stage(widths[i - 1], widths[i], BLOCKS[i], "half") for i in range(1, 5)]
        stages += [_stage(widths[i + 1], widths[i], BLOCKS[i], "double") for i in (3, 2, 1, 0)]
        stages += [_stage(widths[0], LAST // slim, 2, "same")]
        self.stages = nn.ModuleList(stages)
        self.conv15 = _layer(LAST // slim, 1, side=1)

    def forward(self, greys: Float[Tensor, "b 1 H W"]) -> Float[Tensor, "b H W"]:
        *down, up4, up3, up2, up1, last = self.stages
        x, features = greys, list[Tensor]()
        for stage in down:
            x = stage(x)
            features.append(x)
        for stage, beside in zip((up4, up3, up2, up1), features[-2::-1], strict=True):
            x = beside + stage(x)
        return self.conv15(last(x))[:, 0]

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does."""
        named: dict[str, Tensor] = {}
        for key, value in state.items():
            key = re.sub(_PLACE, r"stages.\1.\2.", key)
            key = re.sub(r"^(?:module\.)?conv15\.model\.", "conv15.", key)
            for old, new in _PARTS:
                key = key.replace(old, new)
            named[key] = value
        return named


class _Block(nn.Module):
    def __init__(self, came: int, width: int, step: Step) -> None:
        super().__init__()
        stride = 2 if step == "half" else 1
        self.first = _layer(came, width, side=3, stride=stride)
        self.second = _layer(width, width, side=3)
        changes = came != width or step != "same"
        self.beside = nn.Conv2d(came, width, 1, stride) if changes else None
        self.doubles = step == "double"

    def forward(self, x: Tensor) -> Tensor:
        y, beside = self.first(x), self.beside(x) if self.beside else x
        if self.doubles:
            y, beside = (F.interpolate(z, scale_factor=2, mode="nearest") for z in (y, beside))
        return self.second(y) + beside


def _stage(came: int, width: int, blocks: int, step: Step) -> nn.Sequential:
    """Return blocks of which the last halves the size, or the first doubles it."""
    steps: list[Step] = ["same"] * blocks
    steps[0 if step == "double" else -1] = step
    return nn.Sequential(*(_Block(width if i else came, width, each) for i, each in enumerate(steps)))


def _layer(came: int, width: int, side: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(came, width, side, stride, padding=side // 2)
    return nn.Sequential(nn.BatchNorm2d(came, eps=1e-3), nn.LeakyReLU(0.2), conv)
