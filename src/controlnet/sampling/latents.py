"""Sampling on a batch of latents, tensors in and out: what pictures, previews and evaluation run on."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import isfinite

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from controlnet.backbones import Base
from controlnet.core.backbone import Context
from controlnet.errors import DataError, SettingError, ShapeError
from controlnet.sampling.control import Control
from controlnet.sampling.denoiser import ControlledDenoiser, Denoiser, Steering
from controlnet.sampling.guidance import guide
from controlnet.sampling.inpaint import KeepRest
from controlnet.sampling.sampler import Sampler, draw_noise, generators_of

Progress = Callable[[int, int, Tensor], None]
"""Called after each step with the number of steps done, the number of all, and the latents in work."""

log = logging.getLogger(__name__)


@torch.inference_mode()
def sample_latents(
    base: Base,
    context: Context,
    negative: Context | None = None,
    controls: Sequence[Control] = (),
    noise: Float[Tensor, "B C h w"] | None = None,
    *,
    seeds: Sequence[int] | None = None,
    size: tuple[int, int] | None = None,
    steps: int = 20,
    guidance_scale: float = 7.5,
    sampler: str = "dpm++2m",
    start: Float[Tensor, "B C h w"] | None = None,
    repaint: Float[Tensor, "B 1 h w"] | None = None,
    strength: float = 1.0,
    batch: int | None = None,
    progress: Progress | None = None,
) -> Float[Tensor, "B C h w"]:
    """Sample B latents, each under its own prompt, controls and seed.

    context: the prompts, of batch B. negative: of batch B or 1; None means the empty prompt. controls: their
    images are tensors (B|1, C, H, W) in [0, 1]; with B rows each picture has its own. noise: the first noise,
    or None to draw it from `seeds`, one for each picture; both may be given (seeds then serve random steps).
    size: (width, height) in pixels, where neither noise nor start tells it; None takes that of the controls,
    else the base's own. start: clean latents to begin from with strength < 1. repaint: 1 where painted anew,
    the rest of `start` being kept. batch: how many pictures go through the networks together; None means all.
    A picture is the same bit for bit in calls with the same `batch` only if `batch` is 1 or divides B:
    kernels round differently (about 1e-6) at other batch sizes.

    Raises SettingError, ShapeError, UnknownName; whatever `progress` raises stops the walk and passes
    through.
    """
    total = context.batch
    if not isfinite(guidance_scale) or guidance_scale < 0:
        raise SettingError(f"got guidance scale {guidance_scale}; wanted a number from 0, usually 3 to 9")
    generators = generators_of(seeds) if seeds is not None else []
    noise = _first_noise(base, noise, generators, size or _own_size(base, controls), start)
    if negative is None and guidance_scale != 1.0:
        height, width = noise.shape[-2:]
        negative = base.encode_prompts([""], size=(height * base.downscale, width * base.downscale))
    if negative is not None and negative.batch == 1:
        negative = negative.expand(total)
    counts = {"seeds": len(generators) or total, "noise": len(noise)}
    counts["negative prompts"] = total if negative is None else negative.batch
    for name, count in counts.items():
        if count != total:
            raise ShapeError(f"got {count} {name} for {total} prompts; wanted one for each picture")
    planned = Sampler(sampler, base.scheduler_config, steps, strength).count
    placed = [_placed_on(base, control, noise.shape) for control in controls]
    useful = [control for control in placed if _has_effect(control, planned)]
    together = _Together(base, context, negative, useful, guidance_scale)
    chunks = list(_chunks(total, total if batch is None else batch))
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
            if progress is not None:
                progress(number * planned + step.index + 1, len(chunks) * planned, latents)
        done.append(latents)
    return torch.cat(done)


class _Together:
    """Builds the guided denoiser of some rows; embeds a hint that all rows share only once."""

    def __init__(
        self,
        base: Base,
        context: Context,
        negative: Context | None,
        controls: Sequence[Control],
        scale: float,
    ) -> None:
        self._base, self._context, self._negative, self._scale = base, context, negative, scale
        self._controls = controls
        self._shared = [c.net.embed(_image(c)) if len(_image(c)) == 1 else None for c in controls]

    def denoiser(self, rows: slice) -> Denoiser:
        """Give the denoiser for these rows of the whole batch."""
        count = rows.stop - rows.start
        steerings = [
            Steering(
                control,
                slice(0, count),
                control.net.embed(_image(control)[rows]) if hint is None else hint,
                None if control.mask is None else _rows(_mask(control), rows),
            )
            for control, hint in zip(self._controls, self._shared, strict=True)
        ]
        prompted = ControlledDenoiser(self._base, self._context[rows], tuple(steerings))
        if self._negative is None or self._scale == 1.0:
            return prompted
        both = tuple(s for s in steerings if not s.control.conditional_only)
        return guide(prompted, ControlledDenoiser(self._base, self._negative[rows], both), self._scale)


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
        height, width = _image(controls[0]).shape[-2:]
        return int(width), int(height)
    return base.sample_size, base.sample_size


def _has_effect(control: Control, steps: int) -> bool:
    reason = control.effect(steps)
    if reason is not None:
        log.warning("a control has no effect: %s", reason)
    return reason is None


def _placed_on(base: Base, control: Control, latents: torch.Size) -> Control:
    """Bring the control's tensors to its network, and see that the network fits the base."""
    wanted = [tap.channels for tap in base.backbone.taps(base.network)]
    got = [tap.channels for tap in control.net.taps]
    if got != wanted:
        raise ShapeError(
            f"got a ControlNet with residuals of channels {got}; the base {base.name!r} wants {wanted}: "
            "give one that was made from a base of the same architecture"
        )
    own = next(control.net.parameters())
    if own.device != base.device:
        raise SettingError(
            f"got a ControlNet on {own.device} with a base on {base.device}; wanted both on one device: "
            f"net.to({str(base.device)!r})"
        )
    image, mask = _image(control).to(own), None if control.mask is None else _mask(control).to(own)
    total, _, height, width = latents
    if len(image) not in (1, total) or (mask is not None and len(mask) not in (1, total)):
        raise ShapeError(
            f"got {len(image)} control images and {0 if mask is None else len(mask)} masks for {total} "
            "pictures; wanted one for all, or one for each"
        )
    wanted = (height * control.net.settings.stride, width * control.net.settings.stride)
    if tuple(image.shape[-2:]) != wanted:
        raise ShapeError(
            f"got a control image {tuple(image.shape)}; wanted (B, C, H, W) of {wanted[0]}×{wanted[1]} "
            "pixels for these latents: resize it"
        )
    low, high = float(image.min()), float(image.max())
    if low < -1 or high > 1:  # -1 marks what is to be painted anew (inpainting ControlNets)
        raise DataError(f"got a control image with values from {low:g} to {high:g}; wanted them in [0, 1]")
    return replace(control, image=image, mask=mask)


def _image(control: Control) -> Tensor:
    if not isinstance(control.image, Tensor):
        raise SettingError(
            f"got a control image of type {type(control.image).__name__}; wanted a tensor (B, C, H, W) in "
            "[0, 1] here: `generate` takes pictures"
        )
    return control.image


def _mask(control: Control) -> Tensor:
    if not isinstance(control.mask, Tensor):
        raise SettingError("got a control mask that is no tensor; wanted (B, 1, H, W) in [0, 1] here")
    return control.mask


def _rows(tensor: Tensor, rows: slice) -> Tensor:
    return tensor if len(tensor) == 1 else tensor[rows]


def _chunks(total: int, size: int) -> Iterator[slice]:
    if size < 1:
        raise SettingError(f"got batch {size}; wanted at least 1 picture at a time")
    return (slice(low, min(low + size, total)) for low in range(0, total, size))
