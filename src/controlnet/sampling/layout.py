"""How weights lie in memory: the layout that some convolutions read faster."""

from typing import Any

import torch
from torch import nn

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet


def channels_last(base: Base, *nets: ControlNet) -> None:
    """Lay the convolutions of a base's network and of ControlNets out with the channels innermost, in place.

    Values stay; pictures stay but for rounding (about 1e-6 of a prediction). Not for every base: measure, or
    see docs/sampling.md. Weights that were mapped from a file are copied into memory.
    """
    place: Any = nn.Module.to  # whose types know nothing of layouts
    for module in (base.network, *nets):
        place(module, memory_format=torch.channels_last)
