"""One pass of training: what is drawn by chance, and the loss of eq. 5 with control.

    x_t = α_t·z + σ_t·ε                         the noisy latents
    r   = ControlNet(x_t, t, c_t, c_f)          residuals of the condition c_f, in training
    y_c = base(x_t, t, c_t; r)                  the locked base with the residuals added
    loss = w·‖target(z, ε, t) − y_c‖²           the base's own objective: ε, v or flow; w see `loss_weight`

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
from controlnet.core.objective import Objective
from controlnet.core.residuals import Residuals
from controlnet.training.rng import generator
from controlnet.training.sections import ObjectivePart

Net = Callable[[Tensor, Tensor, Context, Tensor], Residuals]
"""A ControlNet, or the engine's wrapping of one."""


@dataclass(frozen=True)
class Inputs:
    """A batch on the device: clean latents (B,C,h,w), context, condition (B,K,H,W) in [0,1].

    mask (B,1,h,w) in [0,1]: where the loss counts, None for everywhere.
    """

    latents: Float[Tensor, "B C h w"]
    context: Context
    condition: Float[Tensor, "B K H W"]
    mask: Float[Tensor, "B 1 h w"] | None = None

    def __getitem__(self, rows: slice) -> Self:
        """Choose samples."""
        mask = None if self.mask is None else self.mask[rows]
        return type(self)(self.latents[rows], self.context[rows], self.condition[rows], mask)


@dataclass(frozen=True)
class Draws:
    """What one pass leaves to chance; a function of (seed, step, part) alone, so that it needs no state.

    noise (B,C,h,w), ε, with the offset where there is one; posterior (B,C,h,w), the autoencoder's; timestep
    (B,); keeps_prompt (B,) bool, false where the caption is replaced by the empty one, drawn anew every time
    (paper, section 3.3).
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
        if plan.noise_offset:  # drawn last, so that switching it on changes nothing else
            noise += plan.noise_offset * torch.randn((*shape[:2], 1, 1), generator=chance)
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
    base: Base, net: Net, inputs: Inputs, noise: Tensor, timestep: Tensor, weight: Tensor | None = None
) -> Float[Tensor, " B"]:
    """Return each sample's loss; gradients reach the ControlNet alone, the base being locked.

    latents, noise   (B,C,h,w)
    weight           (B,) or (B,1,h,w); none is 1 everywhere
    residuals        one (B,Ci,hi,wi) for each tap
    prediction       (B,C,h,w)
    """
    x = base.objective.add_noise(inputs.latents, noise, timestep)
    residuals = net(x, timestep, inputs.context, inputs.condition)
    prediction = denoise(base, x.to(base.dtype), timestep, inputs.context, residuals)
    target = base.objective.target(inputs.latents, noise, timestep)
    return base.objective.loss(prediction, target, weight)


def loss_weight(
    objective: Objective, plan: ObjectivePart, timestep: Int[Tensor, " B"], mask: Tensor | None
) -> Tensor | None:
    """Return what the squared error is weighed by, (B,) or (B,1,h,w), None where by nothing.

    With γ and the signal-to-noise ratio SNR = α²/σ²: min(SNR, γ)/SNR for ε, min(SNR, γ)/(SNR + 1) for v, and
    min(SNR, γ)·σ² for flow, each of which is min(SNR, γ) on the error of the picture (Hang et al. 2303.09556,
    sec. 3.4). A mask counts over the whole picture, so that a small one is not as loud as a large one.
    """
    weight = objective.min_snr(timestep, plan.gamma) if plan.weighting == "min_snr" else None
    if weight is None or mask is None:
        return weight if mask is None else mask
    return mask * weight.view(-1, 1, 1, 1)
