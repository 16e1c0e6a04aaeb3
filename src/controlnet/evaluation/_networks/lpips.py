"""The networks of LPIPS: the convolutions of AlexNet or VGG16, and five weighings of their channels.

Source: Zhang et al. 1801.03924, version 0.1 of the published weights. The trunks are those of torchvision's
files, whose classifiers are left aside.
"""

from typing import ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from controlnet.conditions._networks.load import device
from controlnet.conditions._weights import Weights
from controlnet.evaluation.metric import Pixels

_HEADS: Final = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1"
_TRUNKS: Final = "https://download.pytorch.org/models"
_MEAN: Final = (-0.030, -0.088, -0.188)  # of pixels in [−1, 1]; the published constants
_SPREAD: Final = (0.458, 0.448, 0.450)


class _Trunk(nn.Module):
    """A chain of layers with the numbers that they have in torchvision's files, heard at some of them."""

    heard: ClassVar[tuple[int, ...]]

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)

    @staticmethod
    def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leave the classifier aside."""
        return {key: value for key, value in state.items() if not key.startswith("classifier.")}

    def forward(self, x: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in self.heard:
                found.append(x)
        return found


@final
class AlexTrunk(_Trunk):
    """The convolutions of AlexNet (Krizhevsky 1404.5997), heard after each of the five."""

    heard: ClassVar[tuple[int, ...]] = (1, 4, 7, 9, 11)

    def __init__(self) -> None:
        super().__init__(
            [
                *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
                *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
                *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
            ]
        )


@final
class VGGTrunk(_Trunk):
    """The convolutions of VGG16 (Simonyan and Zisserman 1409.1556), heard before each pooling."""

    heard: ClassVar[tuple[int, ...]] = (3, 8, 15, 22, 29)

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        inner = 3
        for number, width in enumerate((64, 128, 256, 512, 512)):
            for _ in range(2 if number < 2 else 3):
                layers += [nn.Conv2d(inner, width, 3, padding=1), nn.ReLU()]
                inner = width
            layers.append(nn.MaxPool2d(2, 2))
        super().__init__(layers[:-1])


class _Heads(nn.Module):
    """The weight of each channel, a 1×1 convolution for each of the five depths."""

    widths: ClassVar[tuple[int, ...]]

    def __init__(self) -> None:
        super().__init__()
        for number, width in enumerate(self.widths):
            head = nn.Module()
            head.model = nn.ModuleDict({"1": nn.Conv2d(width, 1, 1, bias=False)})
            self.add_module(f"lin{number}", head)

    def weighing(self, number: int) -> Tensor:
        """Return the weights (C,) at one depth."""
        return self.get_parameter(f"lin{number}.model.1.weight").flatten()


@final
class AlexHeads(_Heads):
    """Weighings for AlexNet."""

    widths: ClassVar[tuple[int, ...]] = (64, 192, 384, 256, 256)


@final
class VGGHeads(_Heads):
    """Weighings for VGG16."""

    widths: ClassVar[tuple[int, ...]] = (64, 128, 256, 512, 512)


TRUNKS: Final = {"alex": AlexTrunk, "vgg": VGGTrunk}
HEADS: Final = {"alex": AlexHeads, "vgg": VGGHeads}
TRUNK_WEIGHTS: Final = {
    "alex": Weights(_TRUNKS, "alexnet-owt-7be5be79.pth", 244.4, "BSD-3-Clause (torchvision)", "7be5be79"),
    "vgg": Weights(_TRUNKS, "vgg16-397923af.pth", 553.4, "BSD-3-Clause (torchvision)", "397923af"),
}
HEAD_WEIGHTS: Final = {
    "alex": Weights(_HEADS, "alex.pth", 0.01, "BSD-2-Clause"),
    "vgg": Weights(_HEADS, "vgg.pth", 0.01, "BSD-2-Clause"),
}


@torch.no_grad()
def embed(trunk: _Trunk, heads: _Heads, picture: Pixels) -> list[Tensor]:
    """Return what LPIPS compares: maps (C, h·w) at five depths, whose squared distances add up to it.

    Every place has a vector of unit length over the channels, weighed by the square root of the heads', and
    divided by the square root of the number of places.
    """
    x = torch.from_numpy(picture.copy()).to(device()).permute(2, 0, 1)[None].float() / 127.5 - 1
    mean, spread = (torch.tensor(part, device=x.device).view(1, 3, 1, 1) for part in (_MEAN, _SPREAD))
    found: list[Tensor] = []
    for number, y in enumerate(trunk((x - mean) / spread)):
        flat = y[0].flatten(1)
        unit = flat / (flat.square().sum(0).sqrt() + 1e-10)
        found.append(unit * heads.weighing(number).clamp(min=0).sqrt()[:, None] / flat.shape[1] ** 0.5)
    return found


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the distance of two embedded pictures of one size."""
    return float(np.sum([(a - b).square().sum().item() for a, b in zip(one, other, strict=True)]))
