"""From prompts, controls and seeds to pictures."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, repeat

import torch
from PIL.Image import Image
from torch import Tensor

from controlnet.backbones import Base
from controlnet.conditions._image import Picture
from controlnet.errors import SettingError
from controlnet.sampling.control import Control
from controlnet.sampling.decoders import check_decoder
from controlnet.sampling.images import Size, picture_size, to_condition, to_mask, to_pictures, to_pixels
from controlnet.sampling.inpaint import latent_mask, paste_back
from controlnet.sampling.latents import Preview, Progress, sample_latents
from controlnet.sampling.prompts import encode_pairs
from controlnet.sampling.size import output_size, warn_if_far

log = logging.getLogger(__name__)


@torch.inference_mode()
def generate(
    base: Base,
    prompt: str | Sequence[str],
    controls: Sequence[Control] = (),
    negative_prompt: str | Sequence[str] = "",
    steps: int = 20,
    guidance_scale: float = 7.5,
    seed: int = 7,
    count: int = 1,
    sampler: str = "dpm++2m",
    width: int | None = None,
    height: int | None = None,
    image: Picture | Tensor | None = None,
    mask: Picture | None = None,
    strength: float = 1.0,
    progress: Progress | None = None,
    batch: int = 1,
    noise: Tensor | None = None,
    guidance_rescale: float = 0.0,
    preview: Preview | None = None,
    clip_skip: int | None = None,
    reuse: str | None = None,
) -> list[Image]:
    """Make `count` pictures of each prompt under the controls, prompt by prompt.

    Picture k of the list uses seed + k and depends on that alone: the same picture comes out, bit for bit on
    one machine, whatever else is made with it. width, height: in pixels; None takes the size of the first
    control's image, else of `image`, else the base's own. image: begin from it, as far as `strength` < 1
    tells; with `mask`, paint anew only what is white there and keep the rest of `image` exactly. progress:
    called after each step with the steps done, all steps, and the latents in work. batch: pictures that go
    through the networks together; more than 1 is faster on a GPU, at the price of differences near 1e-6.
    guidance_rescale: in [0, 1]; takes back the glare of strong guidance (Lin et al. 2305.08891). preview:
    called after each step with clean latents as they are to be expected by then.
    For tasks that are built on this one, `image` may be clean latents (1, C, h, w) of the output's size, then
    without a mask, and `noise` (B, C, h, w) the first noise in place of what the seeds would draw.

    Prompts weigh words and may be long, see docs/prompts.md. clip_skip: the text encoder's layer that is
    read, 1 being the last; None is the base's own.

    reuse: approximate speed: "deep:3", "residuals:2" (see `Reuse`, and docs/sampling.md for what it costs).

    Raises SettingError, ShapeError (sizes, with the nearest that can be made), UnknownName, DataError
    (pictures).
    """
    check_decoder(base, [control.net for control in controls])
    prompts = _repeated(prompt, count)
    negatives = _negatives(negative_prompt, prompt, count)
    pictures = [c.image for c in controls] + ([] if image is None or isinstance(image, Tensor) else [image])
    size = output_size(base, width, height, [picture_size(p) for p in pictures[:1]])
    warn_if_far(base, size)
    pixels, region = _given(image, mask, strength, size)
    start = image if isinstance(image, Tensor) else None
    if pixels is not None:
        start = base.encode_pixels(pixels.to(base.device, base.dtype))
    guided = negatives if guidance_scale != 1.0 else None
    if guided is None and any(negatives):
        log.warning("the negative prompt has no effect: guidance scale 1 leaves its pass out")
    latents = sample_latents(
        base,
        *encode_pairs(base, prompts, guided, size, clip_skip),
        [_sized(control, size) for control in controls],
        noise,
        seeds=range(seed, seed + len(prompts)),
        size=size,
        steps=steps,
        guidance_scale=guidance_scale,
        guidance_rescale=guidance_rescale,
        sampler=sampler,
        start=start,
        repaint=None if region is None or start is None else latent_mask(region, start),
        strength=strength,
        batch=batch,
        progress=progress,
        preview=preview,
        reuse=reuse,
    )
    decoded = [base.decode_latents(part.to(base.dtype)).float().cpu() for part in latents.split(1)]
    if pixels is not None and region is not None:
        return list(chain.from_iterable(paste_back(made, pixels, region) for made in decoded))
    return list(chain.from_iterable(to_pictures(made) for made in decoded))


def _repeated(prompt: str | Sequence[str], count: int) -> list[str]:
    prompts = [prompt] if isinstance(prompt, str) else list(prompt)
    if not prompts or count < 1:
        raise SettingError(f"got {len(prompts)} prompts and count {count}; wanted at least one of each")
    return [text for text in prompts for _ in range(count)]


def _negatives(negative: str | Sequence[str], prompt: str | Sequence[str], count: int) -> list[str]:
    prompts = 1 if isinstance(prompt, str) else len(prompt)
    negatives = list(repeat(negative, prompts)) if isinstance(negative, str) else list(negative)
    if len(negatives) != prompts:
        raise SettingError(
            f"got {len(negatives)} negative prompts for {prompts} prompts; wanted one, or one for each"
        )
    return [text for text in negatives for _ in range(count)]


def _given(
    image: Picture | Tensor | None, mask: Picture | None, strength: float, size: Size
) -> tuple[Tensor | None, Tensor | None]:
    """Turn the given picture and mask into pixels (1, 3, H, W) and region (1, 1, H, W)."""
    if image is None:
        if mask is not None or strength != 1.0:
            raise SettingError(
                "got a mask or a strength without an image; wanted the image that they are about"
            )
        return None, None
    if mask is None and strength == 1.0:
        log.warning(
            "strength 1 begins from noise alone, so that the image has no effect; give a strength below 1"
        )
    if isinstance(image, Tensor):
        if mask is not None:
            raise SettingError("got latents with a mask; wanted the picture, as its unmasked pixels are kept")
        return None, None
    return to_pixels(image, size), None if mask is None else to_mask(mask, size)


def _sized(control: Control, size: Size) -> Control:
    mask = None if control.mask is None else to_mask(control.mask, size)
    return replace(control, image=to_condition(control.image, size), mask=mask)
