"""How networks lie in memory and how their blocks are run; nothing here changes a result beyond rounding."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Literal

import torch
import torch._dynamo.config
from torch import nn
from torch.utils.checkpoint import checkpoint

from controlnet.core.controlnet import ControlNet
from controlnet.errors import PlanError
from controlnet.training.sharding import blocks

_COMPILED: Final = 64
"""Kinds of blocks, times sizes of pictures, that are compiled at most; torch's own limit is 8."""

Recomputed = bool | Literal["copy", "base"]
"""`optim.checkpointing`: of which network the activations are recomputed; true is of both."""


def align(*modules: nn.Module) -> None:
    """Move every tensor of some modules to memory of its own.

    Tensors read from a file lie where the file has them, and kernels round differently by how memory is
    aligned. Without this a resumed run drifts from the uninterrupted one by the last bit (seen on a CPU).
    """
    for module in modules:
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = tensor.data.clone()


def recompute_activations(
    net: ControlNet,
    network: nn.Module,
    which: Recomputed,
    again: Callable[[], AbstractContextManager[Any]] = nullcontext,
) -> None:
    """Let networks forget their activations and compute them again on the way back, block by block.

    The copy has those of the way back through the encoder, the base those of the way through its decoder.
    again: what surrounds the second time. PlanError for a network that cannot.
    """

    def recomputed(module: nn.Module, *inputs: Any) -> Any:
        surroundings = (nullcontext(), again())
        return checkpoint(module.__call__, *inputs, use_reentrant=False, context_fn=lambda: surroundings)

    chosen = {"copy": net.copy, "base": network}
    for name, module in chosen.items():
        if which is False or which not in (True, name):
            continue
        switch: Any = getattr(module, "enable_gradient_checkpointing", None)
        if switch is None:
            raise PlanError(
                f"optim.checkpointing is on and {type(module).__name__} cannot recompute its activations; "
                "switch it off"
            )
        switch(recomputed)


def channels_last(*modules: nn.Module) -> None:
    """Keep the weights of convolutions, and thus the maps that they make, with their channels last."""
    for module in modules:
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def compile_blocks(*networks: nn.Module) -> None:
    """Compile each block of some networks by itself, in place, for each size of picture by itself.

    Blocks of one class differ in their channels; torch would take these for sizes that vary, and give up.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _COMPILED)
    for network in networks:
        for block in blocks(network):
            block.compile(dynamic=False)
