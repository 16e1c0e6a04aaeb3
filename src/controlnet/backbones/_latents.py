"""Pixels to scaled latents and back, through AutoencoderKL or AutoencoderTiny.

Legend: B batch; H W pixels in [−1,1]; C h w latents.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from controlnet.backbones._tiles import tiled
from controlnet.errors import SettingError

OVERLAP: Final = 4  # of a tile's side: a quarter is what two tiles share
LEAST: Final = 8  # latents a side of a tile; smaller ones show nothing but their own borders


def posterior(vae: Any, pixels: Tensor, tile: int | None = None) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the scaled latents (B,C,h,w); AutoencoderTiny's deviation is 0.

    latents = (z − shift_factor)·scaling_factor, which brings them to about unit variance. tile: side in
    pixels of the parts in which larger pictures are encoded.
    """

    def run(part: Tensor) -> Tensor:
        encoded = vae.encode(part)
        if hasattr(encoded, "latents"):
            return torch.cat([encoded.latents, torch.zeros_like(encoded.latents)], dim=1)
        return torch.cat([encoded.latent_dist.mean, encoded.latent_dist.std], dim=1)

    x = pixels.to(vae.device, vae.dtype)
    mean, std = (run(x) if tile is None else tiled(run, x, tile, tile // OVERLAP, 1 / downscale(vae))).chunk(
        2, 1
    )
    shift, scale = _scaling(vae)
    return (mean - shift) * scale, std * scale


def decode(vae: Any, latents: Tensor, tile: int | None = None) -> Tensor:
    """Return pixels (B,3,H,W), clamped to [−1,1]; larger pictures in parts, where `tile` tells their side."""

    def run(part: Tensor) -> Tensor:
        return vae.decode(part, return_dict=False)[0]

    shift, scale = _scaling(vae)
    z = latents.to(vae.device, vae.dtype) / scale + shift
    if tile is None:
        return run(z).clamp(-1, 1)
    side = tile // downscale(vae)
    return tiled(run, z, side, side // OVERLAP, downscale(vae)).clamp(-1, 1)


def check_tile(vae: Any, tile: int) -> None:
    """Raise SettingError for a side of tiles, in pixels, that the VAE cannot take."""
    grid = downscale(vae) * OVERLAP
    least = downscale(vae) * LEAST
    if tile < least or tile % grid:
        raise SettingError(
            f"got VAE tiles of {tile} pixels; wanted a multiple of {grid}, {least} at least, usually 512"
        )


def downscale(vae: Any) -> int:
    """How many pixels, along each side, make one latent."""
    config = vae.config
    widths = config.get("block_out_channels") or config.encoder_block_out_channels
    return 2 ** (len(widths) - 1)


def _scaling(vae: Any) -> tuple[float, float]:
    return getattr(vae.config, "shift_factor", None) or 0.0, vae.config.scaling_factor
