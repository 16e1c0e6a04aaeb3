"""Large pictures from small ones: enlarged, then painted over tile by tile (`upscale`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Unpack

import numpy as np
from PIL import Image
from torch import Tensor

from controlnet.backbones import Base
from controlnet.conditions._image import Picture, Pixels, to_array
from controlnet.errors import SettingError
from controlnet.sampling.control import Control
from controlnet.sampling.enlarge import enlarged
from controlnet.sampling.fitting import cut_out, filled, on_canvas
from controlnet.sampling.images import Size
from controlnet.sampling.latents import Progress
from controlnet.sampling.options import Options
from controlnet.sampling.pipeline import generate
from controlnet.sampling.sampler import draw_noise, generators_of
from controlnet.sampling.tiles import OVERLAP, Box, Tiling, blended

LARGEST: Final = 32_768  # pixels a side


def upscale(
    base: Base,
    prompt: str,
    image: Picture,
    controls: Sequence[Control] = (),
    *,
    scale: float = 2.0,
    tile: int | None = None,
    overlap: int | None = None,
    strength: float = 0.35,
    upscaler: str = "lanczos",
    seed: int = 7,
    progress: Progress | None = None,
    **options: Unpack[Options],
) -> Image.Image:
    """Enlarge a picture by `scale` and paint it over in tiles, each under its own cut of the controls.

    controls: of the whole picture, of any size; a ControlNet for "tile" takes the picture itself. tile,
    overlap: in pixels of the result; None means the base's own side, and a quarter of it. strength: how far
    to leave the enlarged picture. upscaler: "lanczos" or "bicubic". All tiles begin from parts of one noise,
    so that neighbours agree on what they share, and are blended by smooth weights; networks never see more
    than one tile. progress: counts the steps of all tiles.

    Raises what `generate` raises.
    """
    array = to_array(image)
    tiling = tiling_of(base, (array.shape[1], array.shape[0]), scale, tile, overlap)
    whole = filled(enlarged(array, tiling.size, upscaler), tiling.canvas)
    placed = [on_canvas(control, tiling.size, tiling.canvas) for control in controls]
    sides = (tiling.canvas[1] // base.downscale, tiling.canvas[0] // base.downscale)
    noise = draw_noise(generators_of([seed]), (base.latent_channels, *sides))
    told = None if progress is None else _Counted(progress, len(tiling))

    def paint(box: Box) -> Pixels:
        left, top, right, bottom = (
            side // base.downscale for side in (box.left, box.top, box.right, box.bottom)
        )
        (made,) = generate(
            base,
            prompt,
            cut_out(placed, box),
            seed=seed,
            width=tiling.tile,
            height=tiling.tile,
            image=box.cut(whole),
            strength=strength,
            noise=noise[..., top:bottom, left:right],
            progress=told,
            **options,
        )
        return np.asarray(made)

    return Image.fromarray(blended(tiling, paint))


def tiling_of(base: Base, size: Size, scale: float, tile: int | None, overlap: int | None) -> Tiling:
    """Lay the tiles for a picture of `size` that is enlarged by `scale`; SettingError for senseless sizes."""
    wanted = (round(size[0] * scale), round(size[1] * scale))
    if scale <= 0 or not 1 <= min(wanted) <= max(wanted) <= LARGEST:
        raise SettingError(
            f"got scale {scale} for a picture of {size[0]}x{size[1]}; wanted 1 to {LARGEST} pixels a side"
        )
    tile = tile or base.sample_size
    if overlap is None:
        overlap = tile // OVERLAP // base.downscale * base.downscale
    return Tiling(wanted, tile, overlap, base.downscale)


class _Counted:
    """Tells the steps of each tile as steps of the whole."""

    def __init__(self, progress: Progress, tiles: int) -> None:
        self._progress, self._tiles, self._done = progress, tiles, 0

    def __call__(self, step: int, total: int, latents: Tensor) -> None:
        self._progress(self._done + step, self._tiles * total, latents)
        if step == total:
            self._done += total
