"""A second pass at a higher resolution than the base knows: first small, then enlarged, then painted over."""

from collections.abc import Sequence
from typing import Unpack

import numpy as np
from PIL import Image
from torch import Tensor

from controlnet.backbones import Base
from controlnet.errors import SettingError
from controlnet.sampling.control import Control
from controlnet.sampling.enlarge import LATENT, Upscaler, enlarged, enlarged_latents, upscaler_name
from controlnet.sampling.images import Size, picture_size
from controlnet.sampling.latents import Preview, Progress
from controlnet.sampling.options import Options
from controlnet.sampling.pipeline import generate
from controlnet.sampling.size import output_size


def hires(
    base: Base,
    prompt: str,
    controls: Sequence[Control] = (),
    second_controls: Sequence[Control] | None = None,
    *,
    width: int | None = None,
    height: int | None = None,
    scale: float = 2.0,
    strength: float = 0.55,
    second_steps: int | None = None,
    upscaler: Upscaler = "lanczos",
    seed: int = 7,
    count: int = 1,
    progress: Progress | None = None,
    preview: Preview | None = None,
    **options: Unpack[Options],
) -> list[Image.Image]:
    """Make pictures at the base's own size, enlarge them by `scale`, and paint them over at the new size.

    The composition comes from the first pass, where the base is at home, the detail from the second.
    controls: of the first pass, and of the second too unless `second_controls` says otherwise; an empty
    sequence leaves a pass without. width, height: of the first pass; None means the base's own area in the
    shape of the first control. strength: how far the second pass leaves the first. second_steps: None means
    as many as in the first. upscaler: "lanczos" or "bicubic" between decoded pictures, or "latent", bicubic
    between latents, which wants a strength above one half. Picture k uses seed + k in both passes. progress:
    counts the steps of each pass by itself.

    Raises what `generate` raises.
    """
    if count < 1:
        raise SettingError(f"got count {count}; wanted at least 1 picture")
    upscaler_name(upscaler)
    second = controls if second_controls is None else second_controls
    small, large = pass_sizes(base, [*controls, *second], width, height, scale)
    second_options: Options = options if second_steps is None else {**options, "steps": second_steps}
    pictures: list[Image.Image] = []
    for own_seed in range(seed, seed + count):
        last = _Last(progress)
        (first,) = generate(
            base,
            prompt,
            controls,
            seed=own_seed,
            width=small[0],
            height=small[1],
            progress=last,
            preview=preview,
            **options,
        )
        pictures += generate(
            base,
            prompt,
            second,
            seed=own_seed,
            width=large[0],
            height=large[1],
            image=last.enlarged(base, large) if upscaler == LATENT else _enlarged(first, large, upscaler),
            strength=strength,
            progress=progress,
            preview=preview,
            **second_options,
        )
    return pictures


def pass_sizes(
    base: Base, controls: Sequence[Control], width: int | None, height: int | None, scale: float
) -> tuple[Size, Size]:
    """Settle the sizes of both passes; SettingError where the second is not larger, ShapeError as usual."""
    shapes = [_at_home(base, picture_size(control.image)) for control in controls[:1]]
    small = output_size(base, width, height, shapes)
    if not scale > 1.0:
        raise SettingError(f"got scale {scale} for a second pass; wanted more than 1, such as 2")
    return small, output_size(base, None, None, [(round(small[0] * scale), round(small[1] * scale))])


def _at_home(base: Base, shape: Size) -> Size:
    """Give a size of the same shape and of the area that the base was trained at."""
    factor = base.sample_size / (shape[0] * shape[1]) ** 0.5
    return round(shape[0] * factor), round(shape[1] * factor)


def _enlarged(picture: Image.Image, size: Size, upscaler: str) -> Image.Image:
    return Image.fromarray(enlarged(np.asarray(picture), size, upscaler))


class _Last:
    """Keeps the latents that a pass ends with, and passes its progress on."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._latents: Tensor | None = None

    def __call__(self, step: int, total: int, latents: Tensor) -> None:
        self._latents = latents
        if self._progress is not None:
            self._progress(step, total, latents)

    def enlarged(self, base: Base, size: Size) -> Tensor:
        assert self._latents is not None  # a pass has one step at least
        return enlarged_latents(self._latents, size, base.downscale)
