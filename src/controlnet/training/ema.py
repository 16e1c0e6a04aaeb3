"""A running mean of the weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from controlnet.training.sharding import part_of


class Ema:
    """The exponential moving average of a module's trainable parameters, in full precision.

    In the first steps the decay is min(decay, (1 + step) / (10 + step)), so that the random start is soon
    forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.mean = {name: value.detach().clone().float() for name, value in _trainable(module)}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move the mean towards the module's weights after step `step`, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in _trainable(module):
            self.mean[name].lerp_(value.detach().float(), 1 - decay)

    @torch.no_grad()
    def load(self, module: nn.Module) -> None:
        """Take the weights of a module of the same kind as the mean, as a state keeps it."""
        for name, value in _trainable(module):
            self.mean[name] = part_of(value.detach().float(), self.mean[name])

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Let the module have the mean as its weights within the block."""
        own = {name: value.detach().clone() for name, value in _trainable(module)}
        _write(module, self.mean)
        try:
            yield
        finally:
            _write(module, own)


@torch.no_grad()
def _write(module: nn.Module, values: dict[str, Tensor]) -> None:
    for name, value in _trainable(module):
        value.copy_(values[name])


def _trainable(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, value) for name, value in module.named_parameters() if value.requires_grad)
