"""Control gain: what the conditions are worth to the loss, measured long before samples show it.

    gain = loss(conditions shuffled among the samples) − loss(true conditions)

on held-out samples, with the same noise and timesteps for both, at every measurement: zero for a
ControlNet that ignores its condition, whatever its loss. It costs two forward passes and no sampling. Its
standard error is that of the differences paired by sample.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from controlnet.backbones import Base
from controlnet.training.rng import generator
from controlnet.training.step import Inputs, Net, control_loss


@dataclass(frozen=True)
class Gain:
    """Control gain with its standard error, and the loss with true conditions; all in units of the loss."""

    gain: float
    error: float
    loss: float

    def record(self) -> dict[str, float]:
        """Return the keys of metrics.jsonl."""
        return {"held_out_loss": self.loss, "gain": self.gain, "gain_error": self.error}


class GainMeter:
    """Measures the gain on fixed held-out inputs, noise and timesteps, these spread over the schedule."""

    def __init__(self, base: Base, inputs: Inputs, seed: int, batch: int) -> None:
        self._base, self._inputs, self._batch = base, inputs, batch
        chance = generator(seed, "gain")
        count, timesteps = len(inputs.latents), base.objective.timesteps
        self._noise = torch.randn(inputs.latents.shape, generator=chance).to(inputs.latents)
        middles = (torch.arange(count) + 0.5) / count * timesteps
        self._timestep = middles.long()[torch.randperm(count, generator=chance)].to(inputs.latents.device)

    @torch.no_grad()
    def measure(self, net: Net) -> Gain:
        """Measure; the conditions are shuffled by rolling them on by one sample."""
        true = self._losses(net, self._inputs)
        rolled = replace(self._inputs, condition=self._inputs.condition.roll(1, dims=0))
        differences = self._losses(net, rolled) - true
        mean, error = mean_and_error(differences)
        return Gain(mean, error, true.mean().item())

    def _losses(self, net: Net, inputs: Inputs) -> Tensor:
        chunks = (slice(first, first + self._batch) for first in range(0, len(self._noise), self._batch))
        losses = [
            control_loss(self._base, net, inputs[rows], self._noise[rows], self._timestep[rows])
            for rows in chunks
        ]
        return torch.cat(losses).double().cpu()


def mean_and_error(differences: Tensor) -> tuple[float, float]:
    """Return the mean of paired differences and its standard error."""
    return differences.mean().item(), (differences.std() / len(differences) ** 0.5).item()
