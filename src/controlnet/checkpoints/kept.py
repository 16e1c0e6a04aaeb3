"""A Control-LoRA kept as what it is: the base's own weights, not copied, and beside them narrow factors.

    W = W₀ + up·down, computed anew whenever a layer runs

It takes the memory of the factors alone, and no layer's sum outlives the layer. What it computes is what the
merged net computes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from controlnet.core.controlnet import ControlNet
from controlnet.tensorfiles.piece import Piece, piece

Factors = Mapping[str, tuple[Piece, Piece]]  # up and down, by the name of the weight in the net


def kept(
    net: ControlNet, found: Mapping[str, Piece], factors: Factors, network: nn.Module, dtype: torch.dtype
) -> ControlNet:
    """Fill a net from pieces, but leave to the base what factors change; the base's weights stay locked."""
    device = next(network.parameters()).device
    shapes = {name: tensor.shape for name, tensor in net.state_dict().items()}
    own = network.state_dict()
    tensors = {
        name: own[name.removeprefix("copy.")].reshape(shapes[name])
        if name in factors
        else part.load().to(device, dtype)
        for name, part in found.items()
    }
    net.load_state_dict(tensors, strict=True, assign=True)
    for name, (up, down) in factors.items():
        layer: Any = net.get_submodule(name.removesuffix(".weight"))
        layer.weight.requires_grad_(False)
        change = LowRank(up.load().to(device), down.load().to(device))
        parametrize.register_parametrization(layer, "weight", change, unsafe=True)  # unsafe: not tried out
    return net.eval()


def merged_pieces(net: nn.Module) -> dict[str, Piece]:
    """Return the parameters of a net as they are or, where factors were kept, as they would be merged."""
    found: dict[str, Piece] = {}
    for name, tensor in net.state_dict().items():
        path, beneath, rest = name.partition(".parametrizations.weight.")
        if not beneath:
            found[name] = piece(tensor)
        elif rest == "original":
            found[f"{path}.weight"] = _sum(net.get_submodule(path))
    return found


def added(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Return W₀ + up·down of W₀'s shape, in single precision; convolutions are matrices (out, in·k·k)."""
    change = up.float().flatten(1) @ down.float().flatten(1)
    return weight.float() + change.reshape(weight.shape)


@final
class LowRank(nn.Module):
    """Adds the product of two factors to a weight."""

    def __init__(self, up: Tensor, down: Tensor) -> None:
        super().__init__()
        self.up, self.down = nn.Parameter(up), nn.Parameter(down)

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight that the layer has, in the precision of the base's."""
        return added(weight, self.up, self.down).to(weight.dtype)


def _sum(layer: Any) -> Piece:
    beneath = layer.parametrizations.weight.original
    return Piece(tuple(beneath.shape), beneath.dtype, lambda: layer.weight.detach())
