"""UniFormer-S with a UPer head, which tells the 150 classes of ADE20K: upernet_global_small.pth.

    picture ─ 1/4: 64 ─ 1/8: 128 ─ 1/16: 320 ─ 1/32: 512      backbone: convolutions, then attention
                 │        │          │           └ pooled at 1, 2, 3 and 6 squares, beside itself
                 └────────┴──────────┴─ added up from the coarsest, joined at 1/4, classified

Sources: Li et al., UniFormer, arXiv 2201.09450 (its stages 1 and 2 keep the shape of attention but mix by a
5×5 convolution); Xiao et al., Unified Perceptual Parsing (UPerNet), arXiv 1807.10221. Attention is global.
Checked against the annotator of ControlNet-v1-1-nightly (commit e2b4415) with the same random weights, on
pictures of 160×96 and 96×64: logits of up to ±2.9 differ by 3.9e-6 at most, and no pixel's class differs.

Legend: B batch; H W picture; h w = H/4 W/4; C channels; T places h·w of a stage.
"""

import re
from collections.abc import Mapping
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from controlnet.conditions._networks.imagenet import standardised

CLASSES: Final = 150
WIDTHS: Final = (64, 128, 320, 512)
BLOCKS: Final = (3, 4, 8, 3)
HEAD: Final = 64  # channels of an attention head
JOINED: Final = 512  # channels of the UPer head
POOLED: Final = (1, 2, 3, 6)


class _Mixed(nn.Module):
    """A block of stages 1 and 2: place, local mixing, perceptron, each added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv1 = nn.Conv2d(width, width, 1)
        self.attn = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.conv2 = nn.Conv2d(width, width, 1)
        self.norm2 = nn.BatchNorm2d(width)
        self.mlp = nn.ModuleDict(
            {"fc1": nn.Conv2d(width, 4 * width, 1), "fc2": nn.Conv2d(4 * width, width, 1)}
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        x = x + self.conv2(self.attn(self.conv1(self.norm1(x))))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class _Attended(nn.Module):
    """A block of stages 3 and 4: the same, mixing by attention between all places."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.pos_embed(x)
        batch, width, height, across = x.shape
        x = x.flatten(2).transpose(1, 2)  # B T C
        heads = self.attn["qkv"](self.norm1(x)).unflatten(-1, (3, width // HEAD, HEAD))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each B C/64 T 64
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.attn["proj"](mixed.transpose(1, 2).flatten(2))
        x = x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return x.transpose(1, 2).reshape(batch, width, height, across)


class _Stage(nn.Module):
    """Patches of the stage before, its blocks, and what it gives to the head, which alone is normalised."""

    def __init__(self, came: int, width: int, patch: int, blocks: int, attends: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(came, width, patch, stride=patch)
        self.patches_norm = nn.LayerNorm(width)
        kind = _Attended if attends else _Mixed
        self.blocks = nn.Sequential(*(kind(width) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.blocks(_over_channels(self.patches_norm, self.patches(x)))
        return x, _over_channels(self.norm, x)


def _over_channels(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    return norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Unit(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, came: int, width: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(came, width, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Head(nn.Module):
    """UPer: the coarsest features pooled at four sizes, then a pyramid down to the finest."""

    def __init__(self) -> None:
        super().__init__()
        *finer, coarsest = WIDTHS
        self.pooled = nn.ModuleList(_Unit(coarsest, JOINED, 1) for _ in POOLED)
        self.bottleneck = _Unit(coarsest + len(POOLED) * JOINED, JOINED, 3)
        self.laterals = nn.ModuleList(_Unit(width, JOINED, 1) for width in finer)
        self.smooth = nn.ModuleList(_Unit(JOINED, JOINED, 3) for _ in finer)
        self.join = _Unit(len(WIDTHS) * JOINED, JOINED, 3)
        self.classify = nn.Conv2d(JOINED, CLASSES, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        *finer, coarsest = features
        context = [
            _resized(unit(F.adaptive_avg_pool2d(coarsest, side)), coarsest)
            for side, unit in zip(POOLED, self.pooled, strict=True)
        ]
        x = self.bottleneck(torch.cat([coarsest, *context], dim=1))
        levels = [x]
        for i in reversed(range(len(finer))):
            x = self.laterals[i](finer[i]) + _resized(x, finer[i])
            levels.insert(0, self.smooth[i](x))
        return self.classify(self.join(torch.cat([_resized(level, finer[0]) for level in levels], dim=1)))


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, like.shape[2:], mode="bilinear")


@final
class UniFormer(nn.Module):
    """Classes of a picture: (B, 3, H, W), RGB in 0 … 255, to logits (B, 150, H, W); H and W at least 32."""

    def __init__(self) -> None:
        super().__init__()
        came = (3, *WIDTHS)
        self.stages = nn.ModuleList(
            _Stage(came[i], WIDTHS[i], 2 if i else 4, BLOCKS[i], attends=i >= 2) for i in range(len(WIDTHS))
        )
        self.head = _Head()

    def forward(self, pictures: Tensor) -> Tensor:
        x = standardised(pictures)
        features: list[Tensor] = []
        for stage in self.stages:
            x, given = stage(x)
            features.append(given)
        return F.interpolate(self.head(features), pictures.shape[2:], mode="bilinear")

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does; the auxiliary head served only the training."""
        return {
            _own_name(key): value for key, value in state.items() if not key.startswith("auxiliary_head.")
        }


# Patterns of the file's names and what they are here; stages are counted from 1 there, from 0 here.
_NAMES: Final = (
    (r"backbone\.patch_embed(\d)\.proj\.", "stages.{}.patches."),
    (r"backbone\.patch_embed(\d)\.norm\.", "stages.{}.patches_norm."),
    (r"backbone\.blocks(\d)\.", "stages.{}.blocks."),
    (r"backbone\.norm(\d)\.", "stages.{}.norm."),
)
_HEAD_NAMES: Final = {
    "conv_seg": "classify",
    "psp_modules": "pooled",
    "lateral_convs": "laterals",
    "fpn_convs": "smooth",
    "fpn_bottleneck": "join",
}


def _own_name(key: str) -> str:
    for pattern, name in _NAMES:
        if found := re.match(pattern, key):
            return name.format(int(found[1]) - 1) + key[found.end() :]
    head, _, rest = key.partition(".")
    if head != "decode_head":
        return key  # unknown: the strict loading tells of it
    part, _, rest = rest.partition(".")
    if part == "psp_modules":
        rest = re.sub(r"^(\d)\.1\.", r"\1.", rest)  # a pooling layer without weights stands before each there
    return f"head.{_HEAD_NAMES.get(part, part)}.{rest}"
