"""OpenPose's three networks: body_pose_model.pth, hand_pose_model.pth, facenet.pth.

    picture ─ VGG-19's beginning at 1/8 ─ 128 features ─┬─ stage 1 ─┬─ stage 2 ─┬─ … stage 6 ─ maps at 1/8
                                                        └───────────┴───────────┘
Each stage sees the features and the maps of the stage before. The body's stages have two branches: part
affinities (L1) and heat maps (L2).

Sources: Cao et al., arXiv 1611.08050; Simon et al., Hand Keypoint Detection in Single Images using Multiview
Bootstrapping, arXiv 1704.07809; the published conversions of CMU's weights.

Legend: B batch; H W picture; h w an eighth of them, floored; C channels.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Final, final

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

FEATURES: Final = 128
STAGES: Final = range(2, 7)
HEATS: Final = 19
AFFINITIES: Final = 38
HAND_MAPS: Final = 22
FACE_MAPS: Final = 71

# Convolutions of VGG-19 up to where the networks part, with their widths; a pooling by 2 before each number.
_VGG: Final = (
    *(("1_1", 64), ("1_2", 64), ("2_1", 128), ("2_2", 128)),
    *((f"3_{i}", 256) for i in range(1, 5)),
)
_BODY: Final = (*_VGG, ("4_1", 512), ("4_2", 512), ("4_3_CPM", 256), ("4_4_CPM", FEATURES))
_PART: Final = (
    *_VGG,
    *((f"4_{i}", 512) for i in range(1, 5)),
    *(("5_1", 512), ("5_2", 512), ("5_3_CPM", FEATURES)),
)
_POOLED: Final = ("2_1", "3_1", "4_1")


class _Cascade(nn.Module, ABC):
    """Layers by the official file's names, which are those of the module."""

    features: tuple[tuple[str, int], ...]

    def __init__(self) -> None:
        super().__init__()
        came = 3
        for name, width in self.features:
            self.add_module(f"conv{name}", nn.Conv2d(came, width, 3, padding=1))
            came = width

    def see(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 128 h w"]:
        """Return the features of pictures, RGB in 0 … 255; the weights know blue, green, red in −½ … ½."""
        x = pictures.flip(1) / 256 - 0.5
        for name, _ in self.features:
            if name in _POOLED:
                x = F.max_pool2d(x, 2)
            x = F.relu(self.get_submodule(f"conv{name}")(x))
        return x

    def add_stages(self, maps: int, seen: int, mark: str) -> None:
        """Add stages 2 … 6 of a branch with `maps` channels, which see `seen` besides the features."""
        for stage in STAGES:
            came = FEATURES + seen
            for i in range(1, 6):
                self.add_module(f"Mconv{i}_stage{stage}{mark}", nn.Conv2d(came, FEATURES, 7, padding=3))
                came = FEATURES
            self.add_module(f"Mconv6_stage{stage}{mark}", nn.Conv2d(FEATURES, FEATURES, 1))
            self.add_module(f"Mconv7_stage{stage}{mark}", nn.Conv2d(FEATURES, maps, 1))

    def run(self, names: list[str], x: Tensor) -> Tensor:
        """Return what a row of layers makes of x, with a ReLU after each but the last."""
        for name in names[:-1]:
            x = F.relu(self.get_submodule(name)(x))
        return self.get_submodule(names[-1])(x)

    @abstractmethod
    def forward(self, pictures: Tensor) -> Tensor: ...

    @staticmethod
    def from_official(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Take off the names of groups ("model1_0."), which the files lack and conversions of them have."""
        return {re.sub(r"^model\d(_\d)?\.", "", key): value for key, value in state.items()}


@final
class BodyNet(_Cascade):
    """Pictures (B, 3, H, W), RGB in 0 … 255, to 19 heat maps and 38 affinities, (B, 57, h, w)."""

    features = _BODY

    def __init__(self) -> None:
        super().__init__()
        for mark, maps in (("_L1", AFFINITIES), ("_L2", HEATS)):
            for i in range(1, 4):
                self.add_module(f"conv5_{i}_CPM{mark}", nn.Conv2d(FEATURES, FEATURES, 3, padding=1))
            self.add_module(f"conv5_4_CPM{mark}", nn.Conv2d(FEATURES, 512, 1))
            self.add_module(f"conv5_5_CPM{mark}", nn.Conv2d(512, maps, 1))
            self.add_stages(maps, AFFINITIES + HEATS, mark)

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 57 h w"]:
        seen = self.see(pictures)
        affinities, heats = (
            self.run([f"conv5_{i}_CPM{mark}" for i in range(1, 6)], seen) for mark in ("_L1", "_L2")
        )
        for stage in STAGES:
            x = torch.cat([affinities, heats, seen], dim=1)  # B 38+19+128 h w
            affinities, heats = (
                self.run([f"Mconv{i}_stage{stage}{mark}" for i in range(1, 8)], x) for mark in ("_L1", "_L2")
            )
        # The weights were trained so: their last heat maps, and only they, end in a ReLU.
        return torch.cat([F.relu(heats), affinities], dim=1)


class _PartNet(_Cascade):
    """A network of one branch for the keypoints in a box."""

    features = _PART
    maps: int

    def __init__(self) -> None:
        super().__init__()
        self.add_module("conv6_1_CPM", nn.Conv2d(FEATURES, 512, 1))
        self.add_module("conv6_2_CPM", nn.Conv2d(512, self.maps, 1))
        self.add_stages(self.maps, self.maps, "")

    def forward(self, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b C h w"]:
        seen = self.see(pictures)
        x = self.run(["conv6_1_CPM", "conv6_2_CPM"], seen)
        for stage in STAGES:
            x = self.run(
                [f"Mconv{i}_stage{stage}" for i in range(1, 8)], torch.cat([x, seen], dim=1)
            )  # B C+128 h w
        return x


@final
class HandNet(_PartNet):
    """Pictures (B, 3, H, W), RGB in 0 … 255, to 21 heat maps of a hand and the background, (B, 22, h, w)."""

    maps = HAND_MAPS


@final
class FaceNet(_PartNet):
    """Pictures (B, 3, H, W), RGB in 0 … 255, to 70 heat maps of a face and the background, (B, 71, h, w)."""

    maps = FACE_MAPS
