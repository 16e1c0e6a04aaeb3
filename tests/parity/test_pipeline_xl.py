"""SDXL under control against diffusers' own pipeline: same weights, embeddings and seeds, same latents."""

from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.backbones.unet import UNet
from controlnet.core.context import Context
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, sample_latents
from controlnet.sampling.schedulers import build_scheduler

from .twins import CONDITION, SCALE, SEEDS, STEPS, assert_equal_latents, awake, generators, twin


@pytest.fixture(scope="module")
def xl(tiny: Base) -> Base:
    """A network of SDXL's shape, of a few thousand parameters, without text encoders."""
    return Base("xl", UNet().tiny("sdxl").network, tiny.vae, (), (), tiny.scheduler_config)


@pytest.fixture(scope="module")
def xl_nets(xl: Base) -> list[ControlNet]:
    return [awake(ControlNet.from_base(xl), seed) for seed in (2, 3)]


@pytest.fixture(scope="module")
def xl_twins(xl_nets: list[ControlNet], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("xl")
    return [twin(net, folder / str(index)) for index, net in enumerate(xl_nets)]


def encoded(seed: int) -> Context:
    generator = torch.Generator().manual_seed(seed)
    tokens, pooled = torch.randn(2, 7, 12, generator=generator), torch.randn(2, 10, generator=generator)
    return Context(tokens, pooled, torch.tensor([[64.0, 64, 0, 0, 64, 64]] * 2))


@pytest.mark.parametrize(
    ("sampler", "count", "guess"),
    [("ddim", 1, False), ("euler", 2, False), ("dpm++2m", 1, True), ("ddim", 2, True)],
)
def test_latents_equal_those_of_diffusers(
    xl: Base, xl_nets: list[ControlNet], xl_twins: list[Any], sampler: str, count: int, guess: bool
) -> None:
    from diffusers.pipelines.controlnet.pipeline_controlnet_sd_xl import (
        StableDiffusionXLControlNetPipeline,
    )

    theirs: Any = StableDiffusionXLControlNetPipeline(
        vae=xl.vae,
        text_encoder=None,
        text_encoder_2=None,
        tokenizer=None,
        tokenizer_2=None,
        unet=xl.network,
        controlnet=xl_twins[0] if count == 1 else xl_twins,
        scheduler=build_scheduler(sampler, xl.scheduler_config),
        add_watermarker=False,
    )
    theirs.set_progress_bar_config(disable=True)
    context, negative = encoded(1), encoded(2)
    wanted = theirs(
        image=CONDITION if count == 1 else [CONDITION, 1 - CONDITION],
        prompt_embeds=context.tokens,
        negative_prompt_embeds=negative.tokens,
        pooled_prompt_embeds=context.text_embeds,
        negative_pooled_prompt_embeds=negative.text_embeds,
        controlnet_conditioning_scale=0.8 if count == 1 else [0.8, 0.5],
        control_guidance_start=0.0 if count == 1 else [0.0, 0.3],
        control_guidance_end=0.7 if count == 1 else [0.7, 1.0],
        guess_mode=guess,
        generator=generators(),
        guidance_scale=SCALE,
        num_inference_steps=STEPS,
        output_type="latent",
    ).images
    settings: Any = {"mode": "guess", "law": "diffusers"} if guess else {}
    controls = [
        Control(xl_nets[0], CONDITION, 0.8, 0.0, 0.7, **settings),
        Control(xl_nets[1], 1 - CONDITION, 0.5, 0.3, 1.0, **settings),
    ]
    found = sample_latents(
        xl,
        context,
        negative,
        controls[:count],
        seeds=SEEDS,
        steps=STEPS,
        guidance_scale=SCALE,
        sampler=sampler,
    )
    assert_equal_latents(found, wanted)
