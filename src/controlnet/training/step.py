"""One pass of training: what is drawn by chance, and the loss of eq. 5 with control.

    x_t = α_t·z + σ_t·ε                         the noisy latents
    r   = ControlNet(x_t, t, c_t, c_f)          residuals of the condition c_f, in training
    y_c = base(x_t, t, c_t; r)                  the locked base with the residuals added
    loss = ‖target(z, ε, t) − y_c‖²             the base's own objective: ε, v or flow

Legend: B batch, C h w latents, K H W condition, T timesteps of the base.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from controlnet.backbones import Base
from controlnet.core.context import Context
from controlnet.core.controlled import denoise
from controlnet.core.residuals import Residuals
from controlnet.training.rng import generator
from controlnet.training.sections import ObjectivePart

Net = Callable[[Tensor, Tensor, Context, Tensor], Residuals]
"""A ControlNet, or the engine's wrapping of one."""


@dataclass(frozen=True)
class Inputs:
    """A batch on the device: clean latents (B,C,h,w), context, condition (B,K,H,W) in [0,1]."""

    latents: Float[Tensor, "B C h w"]
    context: Context
    condition: Float[Tensor, "B K H W"]

    def __getitem__(self, rows: slice) -> Self:
        """Choose samples."""
        return type(self)(self.latents[rows], self.context[rows], self.condition[rows])


@dataclass(frozen=True)
class Draws:
    """What one pass leaves to chance; a function of (seed, step, part) alone, so that it needs no state.

    noise (B,C,h,w), ε; posterior (B,C,h,w), the autoencoder's; timestep (B,); keeps_prompt (B,) bool,
    false where the caption is replaced by the empty one, drawn anew every time (paper, section 3.3).
    """

    noise: Float[Tensor, "B C h w"]
    posterior: Float[Tensor, "B C h w"]
    timestep: Int[Tensor, " B"]
    keeps_prompt: Tensor

    @classmethod
    def of(
        cls,
        plan: ObjectivePart,
        timesteps: int,
        shape: tuple[int, int, int, int],
        seed: int,
        step: int,
        part: int,
    ) -> Self:
        """Draw for latents of a shape (B,C,h,w), on the CPU."""
        chance = generator(seed, "pass", step, part)
        noise = torch.randn(shape, generator=chance)
        posterior = torch.randn(shape, generator=chance)
        uniform = torch.rand(shape[0], generator=chance, dtype=torch.float64)
        keeps_prompt = torch.rand(shape[0], generator=chance) >= plan.prompt_dropout
        return cls(noise, posterior, draw_timesteps(uniform, timesteps, plan), keeps_prompt)

    def __getitem__(self, rows: slice) -> Self:
        """Choose samples, as each of several processes does."""
        return type(self)(
            self.noise[rows], self.posterior[rows], self.timestep[rows], self.keeps_prompt[rows]
        )


def draw_timesteps(uniform: Float[Tensor, " B"], timesteps: int, plan: ObjectivePart) -> Int[Tensor, " B"]:
    """Turn u in [0,1) into timesteps: ⌊u·T⌋, or ⌊u^exponent·T⌋, which leans towards noise as the exponent
    is below 1.

    The layout of a picture is decided at the noisy end, so control is learnt there first.
    """
    share = uniform if plan.timesteps == "uniform" else uniform**plan.exponent
    return (share * timesteps).long().clamp(max=timesteps - 1)


def control_loss(
    base: Base, net: Net, inputs: Inputs, noise: Tensor, timestep: Tensor
) -> Float[Tensor, " B"]:
    """Return each sample's loss; gradients reach the ControlNet alone, the base being locked.

    latents, noise   (B,C,h,w)
    residuals        one (B,Ci,hi,wi) for each tap
    prediction       (B,C,h,w)
    """
    x = base.objective.add_noise(inputs.latents, noise, timestep)
    residuals = net(x, timestep, inputs.context, inputs.condition)
    prediction = denoise(base, x.to(base.dtype), timestep, inputs.context, residuals)
    return base.objective.loss(prediction, base.objective.target(inputs.latents, noise, timestep))
