"""Picture to picture and inpainting under control, against diffusers' own pipelines on the same inputs."""

from typing import Any

import pytest
import torch

from benchmarks.pair import pipeline
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, sample_latents

from .twins import (
    CONDITION,
    PHOTO,
    PROMPTS,
    SCALE,
    STEPS,
    assert_equal_latents,
    generators,
)

SHARED: dict[str, Any] = {
    "guidance_scale": SCALE,
    "num_inference_steps": STEPS,
    "negative_prompt": ["grey", "grey"],
    "output_type": "latent",
}


def run_ours(base: Base, controls: list[Control], noise: torch.Tensor, **settings: Any) -> torch.Tensor:
    prompts, grey = base.encode_prompts(PROMPTS), base.encode_prompts(["grey"])
    return sample_latents(base, prompts, grey, controls, noise, steps=STEPS, guidance_scale=SCALE, **settings)


def drawn(generator: torch.Generator) -> torch.Tensor:
    return torch.randn(1, 4, 8, 8, generator=generator)


@pytest.mark.parametrize(
    ("sampler", "count", "guess"), [("ddim", 1, False), ("unipc", 2, False), ("dpm++2m", 2, True)]
)
def test_picture_to_picture(
    tiny: Base, nets: list[ControlNet], twins: list[Any], sampler: str, count: int, guess: bool
) -> None:
    """They draw each picture's latents from the VAE's posterior, then its noise, from one generator."""
    from diffusers.pipelines.controlnet.pipeline_controlnet_img2img import (
        StableDiffusionControlNetImg2ImgPipeline,
    )

    theirs = pipeline(StableDiffusionControlNetImg2ImgPipeline, tiny, twins[:count], sampler)
    wanted = theirs(
        PROMPTS,
        PHOTO,
        CONDITION if count == 1 else [CONDITION] * count,
        strength=0.7,
        generator=generators(),
        controlnet_conditioning_scale=0.8,
        control_guidance_end=0.6,
        guess_mode=guess,
        **SHARED,
    ).images
    own = generators()
    start = torch.cat([tiny.encode_pixels(PHOTO * 2 - 1, generator) for generator in own])
    settings: Any = {"mode": "guess", "law": "diffusers"} if guess else {}
    found = run_ours(
        tiny,
        [Control(net, CONDITION, 0.8, end=0.6, **settings) for net in nets[:count]],
        torch.cat([drawn(generator) for generator in own]),
        start=start,
        strength=0.7,
        sampler=sampler,
    )
    assert_equal_latents(found, wanted)


@pytest.mark.parametrize(("strength", "count"), [(1.0, 1), (0.7, 2)])
def test_inpainting(
    tiny: Base, nets: list[ControlNet], twins: list[Any], strength: float, count: int
) -> None:
    """They draw one latent of the picture for all, from the first generator, then each picture's noise."""
    from diffusers.pipelines.controlnet.pipeline_controlnet_inpaint import (
        StableDiffusionControlNetInpaintPipeline,
    )

    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 16:48, 8:32] = 1
    hint = CONDITION * (1 - mask) - mask
    theirs = pipeline(StableDiffusionControlNetInpaintPipeline, tiny, twins[:count], "ddim")
    wanted = theirs(
        PROMPTS,
        PHOTO,
        mask,
        hint if count == 1 else [hint] * count,
        strength=strength,
        generator=generators(),
        controlnet_conditioning_scale=0.8,
        **SHARED,
    ).images
    own = generators()
    start = tiny.encode_pixels(PHOTO * 2 - 1, own[0])
    found = run_ours(
        tiny,
        [Control(net, hint, 0.8) for net in nets[:count]],
        torch.cat([drawn(generator) for generator in own]),
        start=start,
        repaint=mask[..., ::8, ::8],
        strength=strength,
        sampler="ddim",
    )
    assert_equal_latents(found, wanted)
    kept = (mask[0, 0, ::8, ::8] == 0).expand_as(found)
    torch.testing.assert_close(found[kept], start.expand_as(found)[kept])
