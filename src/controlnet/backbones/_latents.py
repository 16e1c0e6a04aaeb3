"""Pixels to scaled latents and back, through AutoencoderKL or AutoencoderTiny.

Legend: B batch; H W pixels in [−1,1]; C h w latents.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def posterior(vae: Any, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the scaled latents (B,C,h,w); AutoencoderTiny's deviation is 0.

    latents = (z − shift_factor)·scaling_factor, which brings them to about unit variance.
    """
    encoded = vae.encode(pixels.to(vae.device, vae.dtype))
    shift, scale = _scaling(vae)
    if hasattr(encoded, "latents"):
        mean = encoded.latents
        return (mean - shift) * scale, torch.zeros_like(mean)
    return (encoded.latent_dist.mean - shift) * scale, encoded.latent_dist.std * scale


def decode(vae: Any, latents: Tensor) -> Tensor:
    """Return pixels (B,3,H,W), clamped to [−1,1]."""
    shift, scale = _scaling(vae)
    z = latents.to(vae.device, vae.dtype) / scale + shift
    return vae.decode(z, return_dict=False)[0].clamp(-1, 1)


def downscale(vae: Any) -> int:
    """How many pixels, along each side, make one latent."""
    config = vae.config
    widths = config.get("block_out_channels") or config.encoder_block_out_channels
    return 2 ** (len(widths) - 1)


def _scaling(vae: Any) -> tuple[float, float]:
    return getattr(vae.config, "shift_factor", None) or 0.0, vae.config.scaling_factor
