"""Sampling on a batch of latents, tensors in and out: what pictures, previews and evaluation run on."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from math import isfinite

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from controlnet.backbones import Base
from controlnet.core.backbone import Context
from controlnet.errors import SettingError, ShapeError
from controlnet.sampling.control import Control
from controlnet.sampling.denoiser import ControlledDenoiser, Denoiser, Steering
from controlnet.sampling.guidance import ClassifierFree
from controlnet.sampling.inpaint import KeepRest
from controlnet.sampling.placing import image_of, mask_of, placed
from controlnet.sampling.prompts import by_picture, filled, length_of
from controlnet.sampling.reuse import Kept, Reuse
from controlnet.sampling.sampler import Sampler, draw_noise, generators_of

Progress = Callable[[int, int, Tensor], None]
"""Called after each step with the number of steps done, the number of all, and the latents in work."""

Preview = Callable[[Tensor], None]
"""Called after each step with clean latents as they are to be expected by then, to be shown."""

log = logging.getLogger(__name__)


@torch.inference_mode()
def sample_latents(
    base: Base,
    context: Context | Sequence[Context],
    negative: Context | Sequence[Context] | None = None,
    controls: Sequence[Control] = (),
    noise: Float[Tensor, "B C h w"] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    size: tuple[int, int] | None = None,
    steps: int = 20,
    guidance_scale: float = 7.5,
    guidance_rescale: float = 0.0,
    sampler: str = "dpm++2m",
    start: Float[Tensor, "B C h w"] | None = None,
    repaint: Float[Tensor, "B 1 h w"] | None = None,
    strength: float = 1.0,
    batch: int | None = None,
    progress: Progress | None = None,
    preview: Preview | None = None,
    reuse: str | None = None,
) -> Float[Tensor, "B C h w"]:
    """Sample B latents, each under its own prompt, controls and seed.

    context: the prompts, of batch B, or one by one where their lengths differ. negative: likewise, of batch B
    or 1, each as long as its prompt; None means the empty prompt. controls: their images are tensors
    (B|1, C, H, W) in [0, 1], or −1 where a ControlNet for inpainting is to see a hole; with B rows each
    picture has its own. noise: the first noise, or None to draw it from `seeds`, one for each picture; both
    may be given (seeds then serve random steps).
    size: (width, height) in pixels, where neither noise nor start tells it; None takes that of the controls,
    else the base's own. start: clean latents to begin from with strength < 1. repaint: 1 where painted anew,
    the rest of `start` being kept. guidance_rescale: in [0, 1], how far predictions under guidance are
    brought back to the spread that they have without (see `rescaled`). batch: how many pictures go through
    the networks together; None means all. preview: told clean latents as they are to be expected by then.
    reuse: approximate speed, such as "deep:3" (see `Reuse`); None computes each step.
    A picture is the same bit for bit in calls with the same `batch` only if `batch` is 1 or divides B:
    kernels round differently (about 1e-6) at other batch sizes.

    Raises SettingError, ShapeError, UnknownName; whatever `progress` raises stops the walk and passes
    through.
    """
    prompts = by_picture(context)
    total = len(prompts)
    if not isfinite(guidance_scale) or guidance_scale < 0:
        raise SettingError(f"got guidance scale {guidance_scale}; wanted a number from 0, usually 3 to 9")
    if not 0.0 <= guidance_rescale <= 1.0:
        raise SettingError(f"got guidance rescale {guidance_rescale}; wanted 0 (none) to 1, usually 0.7")
    if guidance_rescale and guidance_scale == 1.0:
        log.warning("guidance rescale has no effect: guidance scale 1 is no guidance")
    generators = generators_of(seeds) if seeds is not None else []
    noise = _first_noise(base, noise, generators, size or _own_size(base, controls), start)
    if negative is None and guidance_scale != 1.0:
        height, width = noise.shape[-2:]
        negative = base.encode_prompts([""], size=(height * base.downscale, width * base.downscale))
        negative = [filled(negative, negative, length_of(prompt)) for prompt in prompts]
    negatives = None if negative is None else by_picture(negative)
    if negatives is not None and len(negatives) == 1:
        negatives *= total
    counts = {"seeds": len(generators) or total, "noise": len(noise)}
    counts["negative prompts"] = total if negatives is None else len(negatives)
    for name, count in counts.items():
        if count != total:
            raise ShapeError(f"got {count} {name} for {total} prompts; wanted one for each picture")
    lengths = [length_of(prompt) for prompt in prompts]
    if negatives is not None and [length_of(other) for other in negatives] != lengths:
        raise ShapeError(
            "got negative prompts of other lengths, in tokens, than their prompts; wanted the same: encode "
            "them in one call of base.encode_prompts"
        )
    plan = Sampler(sampler, base.scheduler_config, steps, strength)
    planned = plan.count
    useful = placed(base, controls, noise.shape, planned, guidance_scale)
    rule = None if reuse is None else Reuse.parse(reuse)
    if rule is not None:
        rule.check(base, plan, bool(useful))
    together = _Together(base, prompts, negatives, useful, guidance_scale, guidance_rescale, rule)
    chunks = list(_chunks(lengths, total if batch is None else batch))
    done: list[Tensor] = []
    for number, rows in enumerate(chunks):
        walker = Sampler(sampler, base.scheduler_config, steps, strength)
        denoiser = together.denoiser(rows)
        first_noise = noise[rows].to(base.device)
        origin = None if start is None else _rows(start, rows).to(first_noise)
        keep = None
        if origin is not None and repaint is not None:
            keep = KeepRest(origin.expand_as(first_noise), first_noise, _rows(repaint, rows).to(first_noise))
        latents = walker.first(first_noise, origin)
        for step, moved in walker.walk(denoiser, latents, generators[rows], keep):
            latents = moved
            if preview is not None and walker.estimate is not None:
                preview(walker.estimate)
            if progress is not None:
                progress(number * planned + step.index + 1, len(chunks) * planned, latents)
        done.append(latents)
    return torch.cat(done)


class _Together:
    """Builds the guided denoiser of some rows; embeds a hint that all rows share only once."""

    def __init__(
        self,
        base: Base,
        context: Sequence[Context],
        negative: Sequence[Context] | None,
        controls: Sequence[Control],
        scale: float,
        rescale: float = 0.0,
        reuse: Reuse | None = None,
    ) -> None:
        self._base, self._context, self._negative, self._scale = base, context, negative, scale
        self._rescale, self._reuse = rescale, reuse
        self._controls = controls
        self._shared = [c.net.embed(image_of(c)) if len(image_of(c)) == 1 else None for c in controls]

    def denoiser(self, rows: slice) -> Denoiser:
        """Give the denoiser for these rows of the whole batch; at scale 1 one pass does."""
        count = rows.stop - rows.start
        steerings = [
            Steering(
                control,
                slice(0, count),
                control.net.embed(image_of(control)[rows]) if hint is None else hint,
                None if (mask := mask_of(control)) is None else _rows(mask, rows),
            )
            for control, hint in zip(self._controls, self._shared, strict=True)
        ]
        kept = None if self._reuse is None else Kept(self._reuse)
        prompted = ControlledDenoiser(self._base, Context.cat(self._context[rows]), tuple(steerings), kept)
        if self._negative is None or self._scale == 1.0:
            return prompted
        both = tuple(s for s in steerings if not s.control.conditional_only)
        unguided = ControlledDenoiser(self._base, Context.cat(self._negative[rows]), both, kept)
        return ClassifierFree(prompted, unguided, self._scale, self._rescale)


def _first_noise(
    base: Base,
    noise: Tensor | None,
    generators: Sequence[Generator],
    size: tuple[int, int],
    start: Tensor | None,
) -> Tensor:
    height, width = (
        (size[1] // base.downscale, size[0] // base.downscale) if start is None else start.shape[-2:]
    )
    if noise is not None:
        height, width = noise.shape[-2:]
    elif not generators:
        raise SettingError("got neither noise nor seeds; wanted one seed for each picture")
    # Drawn even where noise is given, so that random steps never repeat the first noise of the same seed.
    drawn = draw_noise(generators, (base.latent_channels, height, width)) if generators else noise
    found = drawn if noise is None else noise
    assert found is not None
    return found.float()


def _own_size(base: Base, controls: Sequence[Control]) -> tuple[int, int]:
    if controls:
        height, width = image_of(controls[0]).shape[-2:]
        return int(width), int(height)
    return base.sample_size, base.sample_size


def _rows(tensor: Tensor, rows: slice) -> Tensor:
    return tensor if len(tensor) == 1 else tensor[rows]


def _chunks(lengths: Sequence[int], size: int) -> Iterator[slice]:
    """Divide pictures into batches, whose prompts have one length each."""
    if size < 1:
        raise SettingError(f"got batch {size}; wanted at least 1 picture at a time")
    low = 0
    for _, alike in groupby(lengths):
        end = low + len(list(alike))
        for start in range(low, end, size):
            yield slice(start, min(start + size, end))
        low = end
