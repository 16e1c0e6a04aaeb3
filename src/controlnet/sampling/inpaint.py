"""Painting anew only what a mask shows: the rest of the latents is put back after each step.

And what belongs to it: the hint of ControlNets for inpainting, and masks with a soft edge.
"""

from dataclasses import dataclass
from typing import final

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from controlnet.conditions._image import Picture, to_array
from controlnet.errors import SettingError
from controlnet.sampling.denoiser import Step
from controlnet.sampling.images import Size, picture_size, to_condition, to_mask, to_pictures
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


def inpaint_hint(
    image: Picture, mask: Picture | None = None, size: Size | None = None
) -> Float[Tensor, "1 3 H W"]:
    """Make the condition of a ControlNet for inpainting: −1 where painted anew, else the picture in [0, 1].

    hint = c·(1 − m) − m, with m = 1 where the mask is lighter than grey. Without a mask, `image` is a map of
    the condition `inpaint`, whose black pixels are what is painted anew. size: width and height of what is
    to be made; None means the picture's own. (ControlNet 1.1, control_v11p_sd15_inpaint.)
    """
    size = size or picture_size(to_array(image))
    if mask is None:
        mask = np.where(to_array(image).any(axis=2), 0, 255).astype(np.uint8)
    anew = (to_mask(mask, size) > 0.5).float()
    return to_condition(image, size) * (1 - anew) - anew


def feathered(mask: Picture, pixels: int) -> Image.Image:
    """Give a mask a soft edge, `pixels` wide and outside of what it shows, for a paste that no eye finds.

    What the mask shows stays white, what is farther from it than `pixels` stays black and hence is kept to
    the bit; between them picture and painting blend. Raises SettingError for a negative width.
    """
    if pixels < 0:
        raise SettingError(f"got a feather of {pixels} pixels; wanted 0 (a hard edge) or more, such as 8")
    shown = to_array(mask).max(axis=2) > 127
    if not shown.any():
        return Image.fromarray(np.zeros(shown.shape, np.uint8))
    away = cv2.distanceTransform((~shown).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    near = np.clip(1 - np.asarray(away) / (pixels + 1), 0, 1)
    return Image.fromarray(np.rint(255 * near * near * (3 - 2 * near)).astype(np.uint8))
