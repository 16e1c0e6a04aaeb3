"""The sampling loop: a scheduler of diffusers walked from noise to latents, one step at a time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from controlnet.errors import SettingError
from controlnet.sampling.denoiser import Denoiser, Step
from controlnet.sampling.schedulers import SAMPLERS, build_scheduler, sampler_name

MAX_SEED = 2**63 - 1


class Constraint(Protocol):
    """Mends the latents after each step, as inpainting does; may ask the sampler for noised latents."""

    def __call__(self, latents: Float[Tensor, "B C h w"], sampler: "Sampler", step: Step) -> Tensor:
        """Return the latents to go on with."""
        ...


@final
class Sampler:
    """One walk over a noise schedule for one batch; not to be used twice.

    strength below 1 starts that far into the schedule, from latents that are noised accordingly, and so runs
    only about steps·strength steps. SettingError for steps or a strength that cannot be meant.
    """

    def __init__(self, name: str, config: Mapping[str, Any], steps: int, strength: float = 1.0) -> None:
        self._kind = SAMPLERS[sampler_name(name)]
        self._scheduler = build_scheduler(name, config)
        most = int(self._scheduler.config.num_train_timesteps)
        if not 1 <= steps <= most:
            raise SettingError(f"got {steps} steps; wanted 1 to {most}, usually 20")
        if not 0.0 < strength <= 1.0:
            raise SettingError(
                f"got strength {strength}; wanted more than 0 (the image itself) and at most 1"
            )
        self._scheduler.set_timesteps(steps)
        timesteps: Tensor = self._scheduler.timesteps
        skipped = len(timesteps) - max(1, int(len(timesteps) * strength))
        self._timesteps = timesteps[skipped:]
        if self._kind.indexed:
            self._scheduler.set_begin_index(skipped)
        self._from_noise = strength == 1.0

    @property
    def count(self) -> int:
        """Number of steps that will be run."""
        return len(self._timesteps)

    def first(
        self, noise: Float[Tensor, "B C h w"], latents: Tensor | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Give the latents to begin with: noise alone, or `latents` noised as the strength wants."""
        if latents is None or self._from_noise:
            return noise * self._scheduler.init_noise_sigma
        return self._scheduler.add_noise(latents, noise, self._timesteps[:1].expand(len(noise)))

    def noised(self, latents: Tensor, noise: Tensor, step: Step) -> Float[Tensor, "B C h w"]:
        """Noise clean latents to the level that holds after `step`; after the last one they stay clean."""
        if step.index + 1 == step.count:
            return latents
        timestep = self._timesteps[step.index + 1]
        return self._scheduler.add_noise(latents, noise, timestep.expand(len(latents)))

    def walk(
        self,
        denoiser: Denoiser,
        latents: Float[Tensor, "B C h w"],
        generators: Sequence[Generator] = (),
        constraint: Constraint | None = None,
    ) -> Iterator[tuple[Step, Float[Tensor, "B C h w"]]]:
        """Yield each step with the latents that it leads to.

        latents: from `first`. generators: one for each picture, needed by samplers that draw noise at each
        step, so that a picture depends on its own seed alone. SettingError where they are missing.
        """
        if self._kind.draws_noise and len(generators) != len(latents):
            raise SettingError(
                f"got {len(generators)} seeds for {len(latents)} pictures; the sampler {self._kind.label!r} "
                "draws noise at each step and wants one seed for each picture"
            )
        for index, timestep in enumerate(self._timesteps):
            step = Step(index, self.count, timestep.to(latents.device))
            prediction = denoiser(self._scheduler.scale_model_input(latents, timestep), step)
            if self._kind.draws_noise:
                moved = self._scheduler.step(
                    prediction, timestep, latents, generator=list(generators), return_dict=False
                )
            else:
                moved = self._scheduler.step(prediction, timestep, latents, return_dict=False)
            latents = moved[0]
            if constraint is not None:
                latents = constraint(latents, self, step)
            yield step, latents


def generators_of(seeds: Sequence[int]) -> list[Generator]:
    """Make one generator for each picture, on the CPU so that every device draws the same numbers."""
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise SettingError(
                f"got seed {seed}; wanted 0 to {MAX_SEED}, so draw a random one before the call"
            )
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def draw_noise(generators: Sequence[Generator], shape: tuple[int, int, int]) -> Float[Tensor, "B C h w"]:
    """Draw the first noise of each picture, shape (C, h, w), from its own generator; float32, CPU."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])
