"""Painting anew only what a mask shows: the rest of the latents is put back after each step."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from controlnet.sampling.denoiser import Step
from controlnet.sampling.images import to_pictures
from controlnet.sampling.sampler import Sampler


@final
@dataclass(frozen=True, eq=False)
class KeepRest:
    """Constraint: outside the mask the latents stay those of the picture, at the noise level of the step.

    picture (B, C, h, w) clean latents; noise, the same shape; repaint (B|1, 1, h, w), 1 where painted anew.
    Works with any base (Lugmayr et al. 2022, without resampling), not only with those made for inpainting.
    """

    picture: Tensor
    noise: Tensor
    repaint: Tensor

    def __call__(self, latents: Float[Tensor, "B C h w"], sampler: Sampler, step: Step) -> Tensor:
        """Put the rest back into the latents that the step led to."""
        rest = sampler.noised(self.picture, self.noise, step)
        return torch.where(self.repaint > 0, latents, rest)


def latent_mask(mask: Float[Tensor, "B 1 H W"], latents: Tensor) -> Float[Tensor, "B 1 h w"]:
    """Bring a mask to the size of latents: 1 wherever it touches a cell, so that no pixel is left out."""
    height, width = latents.shape[-2:]
    return (adaptive_max_pool2d(mask, (height, width)) > 0).to(latents.dtype)


def paste_back(made: Tensor, picture: Tensor, mask: Tensor) -> list[Image.Image]:
    """Put the unmasked pixels of the picture back, exactly; grey mask values blend. All (B, C, H, W)."""
    return to_pictures(picture + mask * (made - picture))
