"""FSDP2: ControlNet, gradients and optimizer divided among the processes, each of which keeps its part.

Every block of the copy is gathered when it is needed and dropped behind it; the locked base, which has
neither gradients nor moments, stays whole on each device. Checkpoints hold whole tensors, so that they are
those of one process, and any other number goes on from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import final

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from controlnet.core.controlnet import ControlNet
from controlnet.errors import PlanError


def blocks(network: nn.Module) -> list[nn.Module]:
    """Return what a network is a stack of: the members of its lists, and other parts that have lists."""
    found: list[nn.Module] = []
    for part in network.children():
        if isinstance(part, nn.ModuleList):
            found += part
        elif any(isinstance(inner, nn.ModuleList) for inner in part.modules()):
            found.append(part)
    return found


def shard(net: ControlNet, device: torch.device, world: int) -> None:
    """Divide a ControlNet, the same in all processes, in place; its parameters are then this one's parts."""
    mesh = init_device_mesh(device.type, (world,))
    for block in blocks(net.copy):
        fully_shard(block, mesh=mesh)
    fully_shard(net, mesh=mesh)


def synchronise(net: nn.Module, wanted: bool) -> None:
    """Let the next way back of a divided network add up its gradients over the processes, or not yet."""
    if not isinstance(net, FSDPModule):
        raise PlanError(f"got a whole {type(net).__name__}; wanted one that `shard` has divided")
    net.set_requires_gradient_sync(wanted)


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """Return what this process keeps of a whole tensor, laid out in memory as `like`.

    Kernels that update many tensors at once pair their numbers by place in memory: moments that lie otherwise
    than their parameter (channels last) would be paired with the wrong ones, without a word.
    """
    if isinstance(like, DTensor):
        return distribute_tensor(
            whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None
        ).clone()
    return torch.empty_like(like, dtype=whole.dtype).copy_(whole)


def together(part: Tensor) -> Tensor:
    """Return the whole tensor of which each process has a part; all of them must call it."""
    return part.full_tensor() if isinstance(part, DTensor) else part


@final
class Whole:
    """A divided ControlNet put together by the process that leads: to be measured, drawn with, and written.

    Make it before the network is divided. What was gathered stays until it is gathered anew.
    """

    def __init__(self, net: ControlNet, leads: bool) -> None:
        self._net = deepcopy(net).to("cpu") if leads else None
        self._found: dict[str, dict[str, Tensor]] = {}

    @torch.no_grad()
    def gather(self, part: str, tensors: Mapping[str, Tensor]) -> None:
        """Bring the tensors of a part ("net", "ema", "optimizer") together; all processes call it at once."""
        found: dict[str, Tensor] = {}
        for name, tensor in tensors.items():
            value = together(tensor.detach())  # one at a time: whole, they may not fit beside each other
            if self._net is not None:
                found[name] = value.cpu().clone()
        self._found[part] = found

    def tensors(self, part: str) -> dict[str, Tensor]:
        """Return what was gathered of a part."""
        return self._found[part]

    @torch.no_grad()
    def net(self, part: str) -> ControlNet:
        """Return the ControlNet with the weights of a part, on the CPU."""
        if self._net is None:
            raise PlanError("only the process that leads has the whole ControlNet; ask there")
        for name, parameter in self._net.named_parameters():
            if name in self._found[part]:
                parameter.copy_(self._found[part][name])
        return self._net
