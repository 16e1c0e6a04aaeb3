"""A stand-in for torchvision, of which packages for metrics import much and use two chains of layers."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

from torch import nn


def stand_in_for_torchvision() -> None:
    """Make `import torchvision` give the two chains of layers that LPIPS asks for."""

    def alex() -> list[nn.Module]:
        def relu() -> nn.Module:
            return nn.ReLU(inplace=True)

        return [
            *(nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), relu(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, kernel_size=5, padding=2), relu(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, kernel_size=3, padding=1), relu()),
            *(nn.Conv2d(384, 256, kernel_size=3, padding=1), relu()),
            *(nn.Conv2d(256, 256, kernel_size=3, padding=1), relu(), nn.MaxPool2d(3, 2)),
        ]

    def vgg() -> list[nn.Module]:
        layers: list[nn.Module] = []
        inner = 3
        for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0):
            if width:
                layers += [nn.Conv2d(inner, width, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                inner = width
            else:
                layers.append(nn.MaxPool2d(2, 2))
        return layers

    def model(layers: Callable[[], list[nn.Module]]) -> Any:
        return lambda **_: SimpleNamespace(features=nn.Sequential(*layers()))

    class Anything(ModuleType):
        __path__: ClassVar[list[str]] = []  # a package

        def __getattr__(self, name: str) -> type:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    for name in ("", ".datasets", ".models", ".transforms", ".transforms.functional"):
        sys.modules[f"torchvision{name}"] = Anything(f"torchvision{name}")
        if name:
            parent, _, own = f"torchvision{name}".rpartition(".")
            setattr(sys.modules[parent], own, sys.modules[f"torchvision{name}"])
    models: Any = sys.modules["torchvision.models"]
    models.alexnet, models.vgg16 = model(alex), model(vgg)
    package: Any = sys.modules["torchvision"]
    package.__version__ = "0.0"
