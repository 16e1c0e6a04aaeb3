"""DPT-hybrid of MiDaS 3.0, which sees how near things are: dpt_hybrid-midas-501f0c75.pt.

    picture ─ stem 1/4 ─ 256 at 1/4 ─ 512 at 1/8 ─ 1024 at 1/16     a ResNet: convolutions
                             │            │             └ tokens ─ 12 blocks of attention
                             │            │                  after 9: 768 at 1/16 │ after 12: 768 at 1/32
                             └────────────┴──── added up from the coarsest ───────┴──── nearness at 1/1

Sources: Ranftl et al., Vision Transformers for Dense Prediction, arXiv 2103.13413; Ranftl et al., Towards
Robust Monocular Depth Estimation (MiDaS), arXiv 1907.01341. The ResNet is that of BiT (arXiv 1912.11370):
its kernels are standardised, here once at loading, and its groups normalised.
Checked against ControlNet-v1-1-nightly (e2b4415, timm 0.6.13) with the same random weights, on a picture of
256×192: values from 0 to 9.4 differ by 1.3e-4 at most; in float64 that code differs from itself by 1.4e-4.

Legend: B batch; H W picture; h w a map's sides; T tokens, H/16 · W/16 and one more; D their width.
"""

import re
from collections.abc import Mapping
from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.same import SameConv2d, same_padded

STAGES: Final = ((256, 3, 1), (512, 4, 2), (1024, 9, 2))  # width, blocks, stride
PATCH: Final = 16
GRID: Final = 24  # patches along a side of the pictures that it was trained on
TOKEN: Final = 768
BLOCKS: Final = 12
HEADS: Final = 12
READ_AFTER: Final = (9, 12)  # blocks
FUSED: Final = 256
GROUPS: Final = 32


@final
class DPTHybrid(nn.Module):
    """Nearness of each pixel up to an unknown scale and shift: (B, 3, H, W), RGB in 0 … 255, to (B, H, W).

    H and W are multiples of 32. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        token, fused, groups = TOKEN // slim, FUSED // slim, GROUPS // slim
        widths = [64 // slim, *(width // slim for width, _, _ in STAGES)]
        self.stem = _Unit(3, widths[0], 7, 2, groups)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _Bottleneck(widths[i] if j == 0 else widths[i + 1], widths[i + 1], stride, groups, j == 0)
                    for j in range(blocks)
                )
            )
            for i, (_, blocks, stride) in enumerate(STAGES)
        )
        self.patches = nn.Conv2d(widths[-1], token, 1)
        self.class_token = nn.Parameter(torch.zeros(1, 1, token))
        self.positions = nn.Parameter(torch.zeros(1, 1 + GRID * GRID, token))
        self.blocks = nn.ModuleList(_Block(token) for _ in range(BLOCKS))
        self.readouts = nn.ModuleList([_Readout(token, halves=False), _Readout(token, halves=True)])
        self.laterals = nn.ModuleList(
            nn.Conv2d(width, fused, 3, padding=1, bias=False) for width in (*widths[1:3], token, token)
        )
        self.fusions = nn.ModuleList(_Fusion(fused, alone=i == 3) for i in range(4))
        self.head = nn.Sequential(
            nn.Conv2d(fused, fused // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(fused // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
            nn.ReLU(),
        )

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        x = self.stem(pictures / 127.5 - 1)  # 64 at 1/2
        x = F.max_pool2d(same_padded(x, 3, 2, value=-torch.inf), 3, 2)
        features: list[Tensor] = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        features[2:] = self._read(self.patches(features[2]))
        near = None  # 256 channels: at 1/16, 1/8, 1/4, 1/2
        for lateral, fusion, seen in list(zip(self.laterals, self.fusions, features, strict=True))[::-1]:
            near = fusion(lateral(seen), near)
        return self.head(near)[:, 0]

    def _read(self, patches: Float[Tensor, "b d h w"]) -> list[Tensor]:
        """Return what is read from the tokens, at 1/16 and 1/32."""
        sides = patches.shape[2:]
        grid = self.positions[:, 1:].unflatten(1, (GRID, GRID)).permute(0, 3, 1, 2)
        grid = F.interpolate(grid, sides, mode="bilinear")
        x = torch.cat([self.class_token.expand(len(patches), -1, -1), _listed(patches)], dim=1)
        x = x + torch.cat([self.positions[:, :1], _listed(grid)], dim=1)
        taken: list[Tensor] = []
        for number, block in enumerate(self.blocks, 1):
            x = block(x)
            if number in READ_AFTER:
                taken.append(x)
        return [readout(x, sides) for readout, x in zip(self.readouts, taken, strict=True)]

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does and standardise the ResNet's kernels.

        The file's classifier, the norm before it, and a unit beside which nothing comes in have no use.
        """
        return {
            _own_name(key): _standardised(value) if _BACKBONE in key and value.ndim == 4 else value
            for key, value in state.items()
            if not key.startswith(_UNUSED)
        }


class _Unit(nn.Module):
    """Convolution and normalised groups, without ReLU where a sum follows."""

    def __init__(self, came: int, width: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = SameConv2d(came, width, kernel, stride)
        self.norm = nn.GroupNorm(groups, width)

    def forward(self, x: Tensor, sums: bool = False) -> Tensor:
        x = self.norm(self.conv(x))
        return x if sums else F.relu(x)


class _Bottleneck(nn.Module):
    def __init__(self, came: int, width: int, stride: int, groups: int, first: bool) -> None:
        super().__init__()
        stride = stride if first else 1
        self.unit1 = _Unit(came, width // 4, 1, 1, groups)
        self.unit2 = _Unit(width // 4, width // 4, 3, stride, groups)
        self.unit3 = _Unit(width // 4, width, 1, 1, groups)
        self.downsample = _Unit(came, width, 1, stride, groups) if first else None

    def forward(self, x: Tensor) -> Tensor:
        beside = self.downsample(x, sums=True) if self.downsample else x
        return F.relu(self.unit3(self.unit2(self.unit1(x)), sums=True) + beside)


class _Block(nn.Module):
    """Attention, then a perceptron, each of what is normalised and added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Float[Tensor, "b t d"]) -> Float[Tensor, "b t d"]:
        heads = self.attn["qkv"](self.norm1(x)).unflatten(-1, (3, HEADS, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each B HEADS T D/HEADS
        mixed = F.scaled_dot_product_attention(query, key, value)
        x = x + self.attn["proj"](mixed.transpose(1, 2).flatten(2))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class _Readout(nn.Module):
    """Tokens to a map: the class token is told to each patch's, and then left out."""

    def __init__(self, width: int, halves: bool) -> None:
        super().__init__()
        self.project = nn.Linear(2 * width, width)
        self.conv = nn.Conv2d(width, width, 1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1) if halves else None

    def forward(self, x: Float[Tensor, "b t d"], sides: tuple[int, int]) -> Float[Tensor, "b d h w"]:
        patches = x[:, 1:]
        x = F.gelu(self.project(torch.cat([patches, x[:, :1].expand_as(patches)], dim=-1)))
        x = self.conv(x.transpose(1, 2).unflatten(2, sides))
        return self.down(x) if self.down else x


class _Fusion(nn.Module):
    """What comes from the coarser maps and this map, added, refined, and at twice the size."""

    def __init__(self, width: int, alone: bool) -> None:
        super().__init__()
        self.beside = None if alone else _Residual(width)
        self.refine = _Residual(width)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor, coarser: Tensor | None) -> Tensor:
        if self.beside is not None:
            x = coarser + self.beside(x)
        x = F.interpolate(self.refine(x), scale_factor=2, mode="bilinear", align_corners=True)
        return self.out(x)


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _listed(x: Float[Tensor, "b d h w"]) -> Float[Tensor, "b t d"]:
    return x.flatten(2).transpose(1, 2)


_BACKBONE: Final = "patch_embed.backbone."
_UNUSED: Final = ("pretrained.model.head.", "pretrained.model.norm.", "scratch.refinenet4.resConfUnit1.")
_NAMES: Final = (
    (r"^pretrained\.model\.patch_embed\.backbone\.", ""),
    (r"^stages\.(\d)\.blocks\.", r"stages.\1."),
    (r"^(stages\.\d\.\d\.)(conv|norm)(\d)\.", r"\1unit\3.\2."),
    (r"^pretrained\.model\.patch_embed\.proj\.", "patches."),
    (r"^pretrained\.model\.cls_token$", "class_token"),
    (r"^pretrained\.model\.pos_embed$", "positions"),
    (r"^pretrained\.model\.blocks\.", "blocks."),
    (r"^pretrained\.act_postprocess3\.", "readouts.0."),
    (r"^pretrained\.act_postprocess4\.", "readouts.1."),
    (r"^(readouts\.\d\.)0\.project\.0\.", r"\1project."),
    (r"^(readouts\.\d\.)3\.", r"\1conv."),
    (r"^(readouts\.\d\.)4\.", r"\1down."),
    (r"^scratch\.output_conv\.", "head."),
    (r"^(fusions\.\d\.)resConfUnit1\.", r"\1beside."),
    (r"^(fusions\.\d\.)resConfUnit2\.", r"\1refine."),
    (r"^(fusions\.\d\.)out_conv\.", r"\1out."),
)


def _own_name(key: str) -> str:
    # Maps are counted from 1 there.
    key = re.sub(r"^scratch\.layer(\d)_rn\.", lambda found: f"laterals.{int(found[1]) - 1}.", key)
    key = re.sub(r"^scratch\.refinenet(\d)\.", lambda found: f"fusions.{int(found[1]) - 1}.", key)
    for pattern, name in _NAMES:
        key = re.sub(pattern, name, key)
    return key


def _standardised(kernels: Tensor) -> Tensor:
    """Return kernels each of mean 0 and variance 1."""
    flat = kernels.double().flatten(1)
    variance, mean = torch.var_mean(flat, dim=1, keepdim=True, correction=0)
    return ((flat - mean) / (variance + 1e-8).sqrt()).float().view_as(kernels)
