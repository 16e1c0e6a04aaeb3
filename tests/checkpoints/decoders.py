"""A ControlNet and the decoder that was trained along with it, as a run leaves them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.checkpoints import save_controlnet
from controlnet.checkpoints.decoder import save_decoder
from controlnet.core.controlnet import ControlNet


def changed(base: Base, seed: int = 0) -> dict[str, Tensor]:
    """Return another decoder for a base."""
    chance = torch.Generator().manual_seed(seed)
    return {
        name: value.detach() + 0.1 * torch.randn(value.shape, generator=chance)
        for name, value in base.backbone.decoder(base.network).items()
    }


def pair(base: Base, place: Path, seed: int = 0, **metadata: Any) -> tuple[Path, dict[str, Tensor]]:
    """Write a ControlNet and the decoder that it was trained with."""
    net, decoder = ControlNet.from_base(base), changed(base, seed)
    place.mkdir()
    made = save_decoder(place / "decoder.safetensors", decoder, net.origin, {"step": 3})
    net.origin = replace(net.origin, decoder=made)
    save_controlnet(net, place / "controlnet.safetensors", metadata=metadata)
    return place / "controlnet.safetensors", decoder
