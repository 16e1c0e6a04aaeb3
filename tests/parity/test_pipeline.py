"""The sampling loop against diffusers' own pipeline: same weights, same seeds, same latents and pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import save_controlnet
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, generate, sample_latents
from controlnet.sampling.schedulers import build_scheduler
from tests.helpers import tiny_base

PROMPTS = ["a red cube on a sand floor", "a blue cone"]
SEEDS = [7, 8]
CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Base, Path]:
    folder = tiny_base(tmp_path_factory.mktemp("parity") / "base")
    return load_base(folder), folder


@pytest.fixture(scope="module")
def nets(base: tuple[Base, Path]) -> list[ControlNet]:
    made = []
    generator = torch.Generator().manual_seed(2)
    for _ in range(2):
        net = ControlNet.from_base(base[0])
        with torch.no_grad():
            for parameter in (*net.zeros.parameters(), *net.hint.parameters()):
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
        made.append(net.eval())
    return made


@pytest.fixture(scope="module")
def theirs(base: tuple[Base, Path], nets: list[ControlNet], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Their pipeline on our files; it starts with both ControlNets."""
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline

    folder = tmp_path_factory.mktemp("nets")
    models = []
    for index, net in enumerate(nets):
        save_controlnet(net, folder / str(index), format="diffusers")
        models.append(ControlNetModel.from_pretrained(folder / str(index)))
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    pipeline = StableDiffusionControlNetPipeline.from_pretrained(
        base[1], controlnet=models, **absent, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def run_theirs(theirs: Any, base: Base, sampler: str, **settings: Any) -> Any:
    theirs.scheduler = build_scheduler(sampler, base.scheduler_config)
    generators = [torch.Generator().manual_seed(seed) for seed in SEEDS]
    settings = {"guidance_scale": 5.0, "num_inference_steps": 6, "output_type": "latent"} | settings
    return theirs(PROMPTS, [CONDITION] * 2, generator=generators, **settings).images


@pytest.mark.parametrize("sampler", ["ddim", "dpm++2m", "dpm++2m karras", "unipc", "euler", "euler a"])
def test_latents_equal_those_of_diffusers(
    base: tuple[Base, Path], nets: list[ControlNet], theirs: Any, sampler: str
) -> None:
    """Two prompts, two ControlNets of different weight and interval, guidance, a negative prompt."""
    wanted = run_theirs(
        theirs,
        base[0],
        sampler,
        negative_prompt=["grey", "grey"],
        controlnet_conditioning_scale=[0.8, 0.5],
        control_guidance_start=[0.0, 0.3],
        control_guidance_end=[0.7, 1.0],
    )
    found = sample_latents(
        base[0],
        base[0].encode_prompts(PROMPTS),
        base[0].encode_prompts(["grey"]),
        [Control(nets[0], CONDITION, 0.8, 0.0, 0.7), Control(nets[1], CONDITION, 0.5, 0.3, 1.0)],
        seeds=SEEDS,
        steps=6,
        guidance_scale=5.0,
        sampler=sampler,
    )
    assert wanted.abs().mean() > 0.1
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))


def test_pictures_equal_those_of_diffusers(
    base: tuple[Base, Path], nets: list[ControlNet], theirs: Any
) -> None:
    """The whole way from prompts to pixels, one picture at a time here and all at once there."""
    wanted = run_theirs(theirs, base[0], "dpm++2m", output_type="np")
    controls = [Control(net, CONDITION) for net in nets]
    found = generate(base[0], PROMPTS, controls, steps=6, guidance_scale=5.0, seed=SEEDS[0])
    for mine, their in zip(found, wanted, strict=True):
        assert np.abs(np.asarray(mine, dtype=float) - their * 255).max() <= 0.51
