"""DPM-Solver++ of second order in single steps with noise: "DPM++ SDE" and "DPM++ 2S a" of k-diffusion.

diffusers has the first with another package only and one seed for a whole batch, and the second not at all.
Both take a step from σ to σ' through the level σₘ between, in the variance-exploding form x = z + σ·ε, which
the schedulers that they inherit from lay out. With r = 1/2 the second order needs no difference of the two
estimates of z: that at σₘ is the one to go by (Lu et al. 2211.01095, algorithm 1).
"""

from collections.abc import Sequence
from typing import Any, final

import torch
from diffusers.schedulers.scheduling_k_dpm_2_ancestral_discrete import KDPM2AncestralDiscreteScheduler
from diffusers.schedulers.scheduling_k_dpm_2_discrete import KDPM2DiscreteScheduler
from diffusers.utils.torch_utils import randn_tensor
from torch import Generator, Tensor


@final
class DPMSingleSDEScheduler(KDPM2DiscreteScheduler):
    """DPM++ SDE: both halves of a step see one Brownian path, so that their noises belong together."""

    def step(  # type: ignore[override]
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        generator: Sequence[Generator] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return the latents after half a step and z as estimated; arguments as everywhere in diffusers."""
        begun, at = self.sample, _place(self, timestep)
        sigma, middle, end = self.sigmas[at], self.sigmas_interpol[at + 1], self.sigmas[at + 1]
        noise = _noise_like(sample, generator)
        z = _clean(self, sample, model_output, sigma if begun is None else middle)
        if begun is None:
            self.sample, self._first_noise = sample, noise
            return _step(sample, z, sigma, *_split(sigma, middle), noise), z
        self.sample = None
        path = (sigma - middle).sqrt() * self._first_noise + (middle - end).sqrt() * noise
        return _step(begun, z, sigma, *_split(sigma, end), path / (sigma - end).sqrt()), z


@final
class DPMSingleAncestralScheduler(KDPM2AncestralDiscreteScheduler):
    """DPM++ 2S a: a deterministic step below the level that is wanted, then noise up to it."""

    def step(  # type: ignore[override]
        self,
        model_output: Tensor,
        timestep: Tensor,
        sample: Tensor,
        generator: Sequence[Generator] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return the latents after half a step and z as estimated; arguments as everywhere in diffusers."""
        begun, at = self.sample, _place(self, timestep)
        sigma, middle = self.sigmas[at], self.sigmas_interpol[at]
        z = _clean(self, sample, model_output, sigma if begun is None else middle)
        if begun is None:
            self.sample = sample
            return _step(sample, z, sigma, middle), z
        self.sample = None
        noise = _noise_like(sample, generator)
        return _step(begun, z, sigma, self.sigmas_down[at], self.sigmas_up[at], noise), z


def _noise_like(sample: Tensor, generator: Sequence[Generator] | None) -> Tensor:
    drawn = None if generator is None else list(generator)
    return randn_tensor(sample.shape, generator=drawn, device=sample.device, dtype=sample.dtype)


def _place(scheduler: Any, timestep: Tensor) -> int:
    """Give the index of the step's first half, and count this half."""
    if scheduler.step_index is None:
        scheduler._init_step_index(timestep)
    index = int(scheduler.step_index or 0)
    scheduler._step_index = index + 1
    return index if scheduler.state_in_first_order else index - 1


def _clean(scheduler: Any, x: Tensor, prediction: Tensor, sigma: Tensor) -> Tensor:
    """Solve for z what the network said of x, scaled to variance 1, at level σ."""
    if scheduler.config.prediction_type == "v_prediction":
        return x / (sigma**2 + 1) - prediction * sigma / (sigma**2 + 1).sqrt()
    return x - sigma * prediction


def _split(sigma: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """Split a step to level `end` into one further down and the noise that leads up from there."""
    up = end * (1 - end**2 / sigma**2).clamp(min=0).sqrt()
    return (end**2 - up**2).clamp(min=0).sqrt(), up


def _step(
    x: Tensor, z: Tensor, sigma: Tensor, down: Tensor, up: Tensor | float = 0.0, noise: Tensor | float = 0.0
) -> Tensor:
    """Go from level σ to `down` towards z, then up by noise."""
    return torch.lerp(z, x, float(down / sigma)) + up * noise
