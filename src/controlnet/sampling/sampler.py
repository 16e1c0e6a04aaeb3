"""The sampling loop: a scheduler of diffusers walked from noise to latents, call by call of the network."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, final

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from controlnet.errors import SettingError
from controlnet.sampling.denoiser import Denoiser, Step
from controlnet.sampling.schedulers import SAMPLERS, SamplerKind, build_scheduler, is_flow, sampler_name

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
    only about steps·strength steps. Solvers that call the network twice a step (Heun, DPM2) have 2·steps − 1
    calls, and it is calls that `count` and `Step.index` count, as diffusers does. SettingError for steps or a
    strength that cannot be meant.
    """

    def __init__(self, name: str, config: Mapping[str, Any], steps: int, strength: float = 1.0) -> None:
        self._kind = SAMPLERS[sampler_name(name)]
        self._scheduler = build_scheduler(name, config)
        self._flow = is_flow(config)
        self._velocity = not self._flow and self._scheduler.config.prediction_type == "v_prediction"
        self._plms = self._kind.solver.scheduler == "PNDMScheduler"
        if self._plms and self._velocity:  # averages what is predicted, which only of noise makes a method
            self._scheduler.register_to_config(prediction_type="epsilon")
        most = int(self._scheduler.config.num_train_timesteps)
        if not 1 <= steps <= most:
            raise SettingError(f"got {steps} steps; wanted 1 to {most}, usually 20")
        if not 0.0 < strength <= 1.0:
            raise SettingError(
                f"got strength {strength}; wanted more than 0 (the image itself) and at most 1"
            )
        try:
            self._scheduler.set_timesteps(steps)
        except ValueError as error:  # LCM and TCD know 50 timesteps
            raise SettingError(f"got {steps} steps for {self._kind.label}: {error}") from error
        skipped = steps - max(1, int(steps * strength))
        self._timesteps = self._from(skipped)
        self._from_noise = strength == 1.0
        self._estimate: Tensor | None = None

    def _from(self, skipped: int) -> Tensor:
        """Give the timesteps after so many whole steps, and tell the scheduler."""
        timesteps: Tensor = self._scheduler.timesteps
        if self._plms:
            # It takes its first step twice, wherever it begins; its own list repeats that of a whole walk.
            once = torch.cat([timesteps[:1], timesteps[2:]])[skipped:]
            return torch.cat([once[:2], once[1:]])
        if self._kind.solver.scheduler == "LMSDiscreteScheduler":
            # It takes its index for the number of steps that it remembers, so that it must begin at 0.
            self._scheduler.sigmas = self._scheduler.sigmas[skipped:]
            self._scheduler.timesteps, skipped = timesteps[skipped:], 0
            timesteps = self._scheduler.timesteps
        skipped *= self._scheduler.order
        if self._kind.solver.indexed:
            self._scheduler.set_begin_index(skipped)
        return timesteps[skipped:]

    @property
    def count(self) -> int:
        """Number of calls of the network."""
        return len(self._timesteps)

    @property
    def kind(self) -> SamplerKind:
        """Which sampler this is."""
        return self._kind

    @property
    def calls_a_step(self) -> int:
        """How often a step calls the network: twice in Heun, DPM2 and their like."""
        return int(self._scheduler.order)

    @property
    def estimate(self) -> Float[Tensor, "B C h w"] | None:
        """Clean latents as the network saw them at the last step, to show while work goes on."""
        return self._estimate

    def first(
        self, noise: Float[Tensor, "B C h w"], latents: Tensor | None = None
    ) -> Float[Tensor, "B C h w"]:
        """Give the latents to begin with: noise alone, or `latents` noised as the strength wants."""
        if latents is None or self._from_noise:
            return noise * getattr(self._scheduler, "init_noise_sigma", 1.0)
        return self._add_noise(latents, noise, self._timesteps[0])

    def noised(self, latents: Tensor, noise: Tensor, step: Step) -> Float[Tensor, "B C h w"]:
        """Noise clean latents to the level that holds after `step`; after the last one they stay clean."""
        if step.index + 1 == step.count:
            return latents
        return self._add_noise(latents, noise, self._timesteps[step.index + 1])

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
        drawing = {"generator": list(generators)} if self._kind.draws_noise else {}
        for index, timestep in enumerate(self._timesteps):
            step = Step(index, self.count, timestep.to(latents.device))
            x = latents if self._flow else self._scheduler.scale_model_input(latents, timestep)
            prediction = denoiser(x, step)
            self._estimate = self._clean(x, prediction, timestep)
            if self._plms and self._velocity:
                alpha, sigma = self._levels(timestep)
                prediction = alpha * prediction + sigma * x
            moved = self._scheduler.step(prediction, timestep, latents, **drawing, return_dict=False)
            latents = moved[0]
            if constraint is not None and self._arrived(step):
                latents = constraint(latents, self, step)
            yield step, latents

    def _arrived(self, step: Step) -> bool:
        """Say whether a call ends a step; halfway, the latents of DPM2 are at no noise level of the list."""
        order = self._scheduler.order
        return step.index % order == order - 1 or step.index + 1 == step.count

    def _add_noise(self, latents: Tensor, noise: Tensor, timestep: Tensor) -> Tensor:
        timesteps = timestep.expand(len(noise))
        if hasattr(self._scheduler, "scale_noise"):
            return self._scheduler.scale_noise(latents, timesteps, noise)
        return self._scheduler.add_noise(latents, noise, timesteps)

    def _clean(self, x: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        """Solve x = α·z + σ·ε for z."""
        if self._flow:
            return x - float(timestep) / self._scheduler.config.num_train_timesteps * prediction
        alpha, sigma = self._levels(timestep)
        if self._velocity:
            return alpha * x - sigma * prediction
        return (x - sigma * prediction) / max(alpha, 1e-3)

    def _levels(self, timestep: Tensor) -> tuple[float, float]:
        """Give α and σ; between whole timesteps ᾱ is interpolated, which is near enough for an estimate."""
        whole, shares = int(timestep), self._scheduler.alphas_cumprod
        share = torch.lerp(shares[whole], shares[min(whole + 1, len(shares) - 1)], float(timestep) - whole)
        return float(share.sqrt()), float((1 - share).sqrt())


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
