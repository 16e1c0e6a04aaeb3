"""LeReS, which sees how far things are: res101.pth.

    picture ─ stem 1/4 ─ 256 at 1/4 ─ 512 at 1/8 ─ 1024 at 1/16 ─ 2048 at 1/32     ResNeXt-101 32×8d
                             │            │              │             │
                             └────────────┴── added up from the coarsest ──────── distance at 1/1

Sources: Yin et al., Learning to Recover 3D Scene Shape from a Single Image, arXiv 2012.09365; Xie et al.,
Aggregated Residual Transformations (ResNeXt), arXiv 1611.05431. The file may also hold networks that find
the shape's shift and focal length from a point cloud; a map of 0 … 1 has no use for them.
Checked against controlnet_aux (b1aac31) with the same random weights, on a picture of 256×192: no difference.

Legend: B batch; H W picture; C channels.
"""

import re
from collections.abc import Mapping
from typing import Final, final

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from controlnet.conditions._networks.imagenet import standardised

STAGES: Final = ((256, 3), (512, 4), (1024, 23), (2048, 3))  # width, blocks
GROUPS: Final = 32
_PART: Final = ("depth_model.module.", "depth_model.depth_model.")
_PLACE: Final = r"^(?:depth_model\.)?(?:module\.)?depth_model\.(en|de)coder_modules\.(?:encoder\.)?"


@final
class LeReS(nn.Module):
    """Distance of each pixel up to an unknown scale and shift: (B, 3, H, W), RGB in 0 … 255, to (B, H, W).

    H and W are multiples of 32. `slim` divides all widths: for tests.
    """

    def __init__(self, slim: int = 1) -> None:
        super().__init__()
        self.encoder = _ResNeXt(slim)
        self.decoder = _Decoder(slim)

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        return self.decoder(self.encoder(standardised(pictures)))[:, 0]

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name the tensors as this module does; of a file with other networks, only this one's."""
        among_others = any(key.startswith(_PART) for key in state)
        return {
            re.sub(_PLACE, r"\1coder.", key): value
            for key, value in state.items()
            if not among_others or key.startswith(_PART)
        }


class _ResNeXt(nn.Module):
    """A picture to its features at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, slim: int) -> None:
        super().__init__()
        widths = [64 // slim, *(width // slim for width, _ in STAGES)]
        self.conv1 = nn.Conv2d(3, widths[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        for i, (_, blocks) in enumerate(STAGES):
            stage = [_Bottleneck(widths[i], widths[i + 1], stride=2 if i else 1, first=True)]
            stage += [_Bottleneck(widths[i + 1], widths[i + 1], 1, first=False) for _ in range(blocks - 1)]
            self.add_module(f"layer{i + 1}", nn.Sequential(*stage))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        features: list[Tensor] = []
        for i in range(len(STAGES)):
            x = self.get_submodule(f"layer{i + 1}")(x)
            features.append(x)
        return features


class _Bottleneck(nn.Module):
    def __init__(self, came: int, width: int, stride: int, first: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(came, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, groups=min(GROUPS, width), bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        across = nn.Sequential(nn.Conv2d(came, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = across if first else None

    def forward(self, x: Tensor) -> Tensor:
        beside = self.downsample(x) if self.downsample else x
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + beside)


class _Decoder(nn.Module):
    def __init__(self, slim: int) -> None:
        super().__init__()
        fine, coarse = 256 // slim, 512 // slim
        w4, w8, w16, w32 = (width // slim for width, _ in STAGES)
        self.conv = _Refine(w32, coarse)
        self.conv1 = nn.Conv2d(coarse, fine, 3, padding=1)
        self.ffm2 = _Fusion(w16, fine)
        self.ffm1 = _Fusion(w8, fine)
        self.ffm0 = _Fusion(w4, fine)
        out = [nn.Conv2d(fine, fine // 2, 3, padding=1), nn.BatchNorm2d(fine // 2), nn.ReLU()]
        self.outconv = nn.ModuleDict(
            {"adapt_conv": nn.Sequential(*out, nn.Conv2d(fine // 2, 1, 3, padding=1))}
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        at4, at8, at16, at32 = features
        x = _doubled(self.conv1(self.conv(at32)))  # 256 at 1/16
        x = self.ffm2(at16, x)  # at 1/8
        x = self.ffm1(at8, x)  # at 1/4
        x = self.ffm0(at4, x)  # at 1/2
        return _doubled(self.outconv["adapt_conv"](x))


class _Fusion(nn.Module):
    """Features and what comes from the coarser ones, added, refined, and at twice the size."""

    def __init__(self, came: int, width: int) -> None:
        super().__init__()
        self.ftb1 = _Refine(came, width)
        self.ftb2 = _Refine(width, width)

    def forward(self, x: Tensor, coarser: Tensor) -> Tensor:
        return _doubled(self.ftb2(self.ftb1(x) + coarser))


class _Refine(nn.Module):
    def __init__(self, came: int, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(came, width, 3, padding=1)
        self.conv_branch = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        # The branch's ReLU wrote into what came in when the weights were trained, so it counts for the sum.
        x = F.relu(self.conv1(x))
        return F.relu(x + self.conv_branch(x))


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
