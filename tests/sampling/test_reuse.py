"""Approximate speed: what runs at which step, what is exact, what is refused."""

from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.backbones.unet import UNet
from controlnet.core.backbone import Example
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import Control, Schedule
from controlnet.sampling.reuse import Reuse

from .walks import CONDITION, counted, sample


@pytest.mark.parametrize("variant", UNet.variants)
def test_the_shallow_run_on_fresh_deep_features_is_the_whole_run(variant: str) -> None:
    """Bit for bit: what is approximate is the age of the features alone."""
    unet = UNet()
    example: Example = unet.tiny(variant)
    net = ControlNet.from_base(example.network, init="gaussian", hint="unshuffle")
    inputs = (example.x, example.timestep, example.context)
    with torch.inference_mode():
        for residuals in (None, net(*inputs, example.condition)):
            with unet.deep(example.network) as deep:
                whole = unet.denoise(example.network, *inputs, residuals)
            assert len(deep) == 1
            assert torch.equal(unet.shallow(example.network, *inputs, residuals, deep[0]), whole)


def test_what_runs_at_which_step(base: Base, net: ControlNet) -> None:
    """Six steps: the base's middle tells how often the whole base ran."""
    whole: list[int] = []
    hook = base.network.get_submodule("mid_block").register_forward_hook(
        lambda module, args, out: whole.append(len(out))
    )
    for reuse, bases, copies in ((None, 6, 6), ("residuals:2", 6, 3), ("deep:2", 3, 3), ("deep:4", 2, 2)):
        whole.clear()
        with counted(net) as calls:
            sample(base, [Control(net, CONDITION)], steps=6, reuse=reuse)
        assert (len(whole), len(calls["copy"])) == (bases, copies), reuse
        assert calls["hint"] == [1]
    hook.remove()


@pytest.mark.parametrize("reuse", ["residuals:3", "deep:3"])
def test_the_ends_of_intervals_are_key_steps(base: Base, net: ControlNet, reuse: str) -> None:
    """On at steps 1 to 3 of six: step 1, where it begins, and 3 are key steps, and so is 4, without it."""
    steps: list[int] = []
    with counted(net) as calls:
        sample(
            base,
            [Control(net, CONDITION, start=0.1, end=0.7)],
            steps=6,
            reuse=reuse,
            progress=lambda done, *rest: steps.append(len(calls["copy"])),
        )
    assert steps == [0, 1, 1, 2, 2, 2]


def test_it_is_near_to_the_exact_latents(base: Base, net: ControlNet) -> None:
    controls = [Control(net, CONDITION, Schedule.parse("0:1|1:0.5"))]
    exact, plain = (sample(base, some, steps=8) for some in (controls, []))
    away = (plain - exact).abs().mean()
    for reuse in ("residuals:2", "deep:2"):
        found = sample(base, controls, steps=8, reuse=reuse)
        assert 0 < (found - exact).abs().mean() < away / 2, reuse


@pytest.mark.parametrize("guidance_scale", [1.0, 3.0])
def test_a_picture_does_not_depend_on_its_neighbours(
    base: Base, net: ControlNet, guidance_scale: float
) -> None:
    """Chunks of one picture each: nothing is left of the one before."""
    settings: Any = {"reuse": "deep:2", "batch": 1, "guidance_scale": guidance_scale}
    both = sample(base, [Control(net, CONDITION)], **settings)
    alone = sample(base, [Control(net, CONDITION)], seeds=[1], **settings)
    assert torch.equal(both[:1], alone)


@pytest.mark.parametrize(
    ("reuse", "changes", "said"),
    [
        ("deep", {}, "deep:K"),
        ("deep:1", {}, "from 2"),
        ("residuals:x", {}, "residuals:K"),
        ("deep:4", {}, "in 4 steps is the first alone"),
        ("deep:2", {"sampler": "heun"}, "once a step"),
        ("deep:2", {"sampler": "lcm"}, "few steps"),
    ],
)
def test_what_makes_no_sense_is_refused(base: Base, reuse: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        sample(base, [], reuse=reuse, **changes)


def test_unknown_kinds_are_named() -> None:
    with pytest.raises(UnknownName, match="deep"):
        Reuse.parse("depp:3")


def test_blocks_of_another_build_are_refused(base: Base) -> None:
    """Pixel-space relatives of the U-Net have blocks whose layers are not run one after the other."""
    with pytest.raises(SettingError, match="AttnDownBlock2D"), UNet().deep(_other(base)):
        pass


def _other(base: Base) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config: dict[str, Any] = base.backbone.describe(base.network)
    config["down_block_types"] = ["AttnDownBlock2D", *config["down_block_types"][1:]]
    with torch.device("meta"):
        return UNet2DConditionModel(**config)


def test_residuals_without_a_control_are_told(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    found = sample(base, [], reuse="residuals:2")
    assert torch.equal(found, sample(base, []))
    assert "no effect" in caplog.text
