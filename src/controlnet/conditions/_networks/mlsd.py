"""M-LSD, which sees straight lines: mlsd_large_512_fp32.pth.

    picture and a plane of ones ─ MobileNetV2: 16 at 1/2 ─ 24 at 1/4 ─ 32 at 1/8 ─ 64, 96 at 1/16
                                                  │           │           │          │
                                                  └───────────┴───────────┴── joined from the coarsest
                                                  └── 16 maps at 1/2, of which the last nine count

Of these, the first is the log-odds that a line's middle is here, the next four are the way from here to its
ends, x y x y, in the map's pixels; the other four tell of it by angle and length and are for training.

Source: Gu et al., Towards Light-weight and Real-time Line Segment Detection, arXiv 2106.00186 (the larger of
the two networks). Checked against sd-webui-controlnet 56cec5b with the same random weights: maps and drawn
lines are the same.

Legend: B batch; H W picture; h w a map's sides, H/2 and W/2; n lines.
"""

from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

STAGES: Final = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1))
"""Of MobileNetV2: how much wider a block is within, its width, how many, the stride of the first."""
TAPS: Final = (1, 3, 6, 10, 13)  # the features that are joined
WIDTH: Final = 64
MAPS: Final = 16
LEFT_OUT: Final = 7  # of the maps: they were for training
MOST: Final = 200  # lines


@final
class MLSD(nn.Module):
    """Maps of lines: (B, 3, H, W), RGB in 0 … 255, to (B, 9, H/2, W/2). H and W are multiples of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = _MobileNet()
        finer = [width for _, width, _, _ in STAGES[3::-1]]  # 64 at 1/16, 32 at 1/8, 24 at 1/4, 16 at 1/2
        coarser = STAGES[4][1]
        for step, width in enumerate(finer):
            self.add_module(f"block{15 + 2 * step}", _Join(width, coarser))
            self.add_module(f"block{16 + 2 * step}", _Residual(2 * WIDTH, WIDTH))
            coarser = WIDTH
        self.block23 = _Head(WIDTH, MAPS)

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 9 h w"]:
        ones = torch.ones_like(pictures[:, :1])  # as given to the network: among 0 … 255, next to nothing
        *finer, x = self.backbone(torch.cat([pictures, ones], dim=1) / 127.5 - 1)
        for step, features in enumerate(reversed(finer)):
            x = self.get_submodule(f"block{15 + 2 * step}")(features, x)
            x = self.get_submodule(f"block{16 + 2 * step}")(x)
        return self.block23(x)[:, LEFT_OUT:]


def lines(
    maps: Float[Tensor, "9 h w"], value_threshold: float, distance_threshold: float
) -> Float[Tensor, "n 4"]:
    """Return the lines that a network's maps tell of, x y x y in pixels of the picture; there may be none.

    A line's middle is where its score is the greatest among the nine places around; the best 200 are looked
    at, and those with a score above the one and a length above the other threshold kept. The length is in
    pixels of the maps, which are half as large as the picture.
    """
    score = maps[0].sigmoid()
    greatest = F.max_pool2d(score[None], 3, stride=1, padding=1)[0]
    peaks = torch.where(score == greatest, score, 0).flatten()
    scores, places = peaks.topk(min(MOST, peaks.numel()))
    x, y = places % score.shape[1], places // score.shape[1]
    ways = maps[1:5].flatten(1)[:, places].T
    length = (ways[:, :2] - ways[:, 2:]).square().sum(dim=1).sqrt()
    kept = (scores > value_threshold) & (length > distance_threshold)
    return 2 * (torch.stack([x, y, x, y], dim=1) + ways.double())[kept]


class _MobileNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_ConvBN(4, 32, 3, stride=2)]
        came = 32
        for wider, width, blocks, stride in STAGES:
            for i in range(blocks):
                layers.append(_Inverted(came, width, wider, 1 if i else stride))
                came = width
        self.features = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for i, layer in enumerate(self.features):
            x = layer(x)
            if i in TAPS:
                found.append(x)
        return found


class _ConvBN(nn.Sequential):
    """A convolution of MobileNetV2: one that shrinks is padded at right and bottom only, as TFLite does."""

    def __init__(self, came: int, width: int, side: int, stride: int = 1, groups: int = 1) -> None:
        padding = side // 2 if stride == 1 else 0
        conv = nn.Conv2d(came, width, side, stride, padding, groups=groups, bias=False)
        super().__init__(conv, nn.BatchNorm2d(width), nn.ReLU6())
        self.shrinks = stride > 1

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.pad(input, (0, 1, 0, 1)) if self.shrinks else input)


class _Inverted(nn.Module):
    """A block that is wide within: 1×1 to widen, 3×3 for each channel, 1×1 to narrow."""

    def __init__(self, came: int, width: int, wider: int, stride: int) -> None:
        super().__init__()
        within = came * wider
        widen = [_ConvBN(came, within, 1)] if wider > 1 else []
        each = _ConvBN(within, within, 3, stride, groups=within)
        narrow = [nn.Conv2d(within, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.conv = nn.Sequential(*widen, each, *narrow)
        self.adds = stride == 1 and came == width

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.adds else self.conv(x)


class _Join(nn.Module):
    """Finer features beside coarser ones, which are brought to their size."""

    def __init__(self, finer: int, coarser: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(coarser, WIDTH, 1)
        self.conv2 = _conv_bn_relu(finer, WIDTH, 1)

    def forward(self, finer: Tensor, coarser: Tensor) -> Tensor:
        finer, coarser = self.conv2(finer), self.conv1(coarser)
        if finer.shape != coarser.shape:
            coarser = F.interpolate(coarser, finer.shape[2:], mode="bilinear", align_corners=True)
        return torch.cat([finer, coarser], dim=1)


class _Residual(nn.Module):
    def __init__(self, came: int, width: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(came, came, 3)
        self.conv2 = _conv_bn_relu(came, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x) + x)


class _Head(nn.Module):
    def __init__(self, came: int, width: int) -> None:
        super().__init__()
        self.conv1 = _conv_bn_relu(came, came, 3, dilation=5)
        self.conv2 = _conv_bn_relu(came, came, 3)
        self.conv3 = nn.Conv2d(came, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(self.conv2(self.conv1(x)))


def _conv_bn_relu(came: int, width: int, side: int, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(came, width, side, padding=side // 2 * dilation, dilation=dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU())
