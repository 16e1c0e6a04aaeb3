"""The sampling loop against diffusers' own pipeline: same weights, same seeds, same latents and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.pair import pipeline
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, generate, sample_latents
from controlnet.sampling.schedulers import build_scheduler

from .twins import (
    CONDITION,
    PROMPTS,
    SCALE,
    SEEDS,
    STEPS,
    assert_equal_latents,
    awake,
    generators,
    twin,
)


@pytest.fixture(scope="module")
def theirs(tiny_folder: Path, twins: list[Any]) -> Any:
    """Their pipeline on our files, with both ControlNets."""
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    made = StableDiffusionControlNetPipeline.from_pretrained(
        tiny_folder, controlnet=twins, **absent, requires_safety_checker=False
    )
    made.set_progress_bar_config(disable=True)
    return made


def run_theirs(theirs: Any, images: Any, **settings: Any) -> Any:
    shared = {"guidance_scale": SCALE, "num_inference_steps": STEPS, "output_type": "latent"}
    return theirs(PROMPTS, images, generator=generators(), **(shared | settings)).images


def run_ours(base: Base, controls: list[Control], sampler: str, prompts: list[str] = PROMPTS) -> torch.Tensor:
    return sample_latents(
        base,
        base.encode_prompts(prompts),
        base.encode_prompts(["grey"]),
        controls,
        seeds=SEEDS,
        size=(64, 64),
        steps=STEPS,
        guidance_scale=SCALE,
        sampler=sampler,
    )


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "dpm++2m karras", "unipc", "euler", "euler a"])
def test_latents_equal_those_of_diffusers(
    tiny: Base, nets: list[ControlNet], theirs: Any, sampler: str
) -> None:
    """Two prompts, two ControlNets of different weight and interval, guidance, a negative prompt."""
    theirs.scheduler = build_scheduler(sampler, tiny.scheduler_config)
    wanted = run_theirs(
        theirs,
        [CONDITION] * 2,
        negative_prompt=["grey", "grey"],
        controlnet_conditioning_scale=[0.8, 0.5],
        control_guidance_start=[0.0, 0.3],
        control_guidance_end=[0.7, 1.0],
    )
    controls = [Control(nets[0], CONDITION, 0.8, 0.0, 0.7), Control(nets[1], CONDITION, 0.5, 0.3, 1.0)]
    assert_equal_latents(run_ours(tiny, controls, sampler), wanted)


@pytest.mark.parametrize("guess", [False, True], ids=["both passes", "guess mode"])
@pytest.mark.parametrize("count", [1, 2], ids=["single", "multi"])
def test_guess_mode_is_that_of_diffusers(
    tiny: Base, nets: list[ControlNet], twins: list[Any], count: int, guess: bool
) -> None:
    """Soft weights by its law on the conditional pass, with an interval; one prompt is empty."""
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    theirs = pipeline(StableDiffusionControlNetPipeline, tiny, twins[:count], "ddim")
    prompts = ["a blue cone", ""]
    wanted = theirs(
        prompts,
        [CONDITION, 1 - CONDITION] if count == 2 else CONDITION,
        generator=generators(),
        guidance_scale=SCALE,
        num_inference_steps=STEPS,
        negative_prompt=["grey", "grey"],
        controlnet_conditioning_scale=[0.9] * 2 if count == 2 else 0.9,
        control_guidance_start=0.2,
        control_guidance_end=0.9,
        guess_mode=guess,
        output_type="latent",
    ).images
    settings: Any = {"mode": "guess", "law": "diffusers"} if guess else {}
    controls = [
        Control(net, image, 0.9, 0.2, 0.9, **settings)
        for net, image in zip(nets[:count], (CONDITION, 1 - CONDITION)[:count], strict=True)
    ]
    found = run_ours(tiny, controls, "ddim", prompts)
    assert_equal_latents(found, wanted)
    if guess:
        cldm = [Control(net, CONDITION, 0.9, 0.2, 0.9, "control") for net in nets[:count]]
        assert (run_ours(tiny, cldm, "ddim", prompts) - wanted).abs().max() > 1e-3


def test_pooled_control_is_that_of_diffusers(tiny: Base, tmp_path: Path) -> None:
    """As of "shuffle": one value for each channel, on the conditional pass, at full weight."""
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    net = awake(ControlNet.from_base(tiny, global_pool=True), 4)
    theirs = pipeline(StableDiffusionControlNetPipeline, tiny, [twin(net, tmp_path / "pooled")], "ddim")
    wanted = run_theirs(theirs, CONDITION, negative_prompt=["grey", "grey"])
    assert_equal_latents(run_ours(tiny, [Control(net, CONDITION)], "ddim"), wanted)


def test_a_base_that_predicts_v(tiny: Base, nets: list[ControlNet], twins: list[Any]) -> None:
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    config = tiny.scheduler_config | {"prediction_type": "v_prediction"}
    base = Base("v", tiny.network, tiny.vae, tiny.text_encoders, tiny.tokenizers, config)
    theirs = pipeline(StableDiffusionControlNetPipeline, base, twins[:1], "ddim")
    wanted = run_theirs(theirs, CONDITION, negative_prompt=["grey", "grey"])
    assert_equal_latents(run_ours(base, [Control(nets[0], CONDITION)], "ddim"), wanted)


def test_pictures_equal_those_of_diffusers(tiny: Base, nets: list[ControlNet], theirs: Any) -> None:
    """The whole way from prompts to pixels, one picture at a time here and all at once there."""
    theirs.scheduler = build_scheduler("dpm++2m", tiny.scheduler_config)
    wanted = run_theirs(theirs, [CONDITION] * 2, output_type="np")
    controls = [Control(net, CONDITION) for net in nets]
    found = generate(tiny, PROMPTS, controls, steps=STEPS, guidance_scale=SCALE, seed=SEEDS[0])
    for mine, their in zip(found, wanted, strict=True):
        assert np.abs(np.asarray(mine, dtype=float) - their * 255).max() <= 0.51
