"""The batch sampler: guidance, controls on and off, calls saved, seeds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.context import Context
from controlnet.core.controlnet import ControlNet
from controlnet.errors import DataError, SettingError, ShapeError
from controlnet.sampling import Control, sample_latents
from controlnet.sampling.sampler import draw_noise, generators_of

CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))


@contextmanager
def counted(net: ControlNet) -> Iterator[dict[str, list[int]]]:
    """Note the batch size of each call of the hint encoder and of the copy."""
    calls: dict[str, list[int]] = {"hint": [], "copy": []}
    hooks = [
        net.hint.register_forward_hook(lambda module, args, out: calls["hint"].append(len(out))),
        net.copy.get_submodule("time_embedding").register_forward_hook(
            lambda module, args, out: calls["copy"].append(len(out))
        ),
    ]
    yield calls
    for hook in hooks:
        hook.remove()


def sample(base: Base, controls: list[Control], **changes: Any) -> torch.Tensor:
    settings = {
        "seeds": [1, 2],
        "size": (64, 64),
        "steps": 4,
        "sampler": "ddim",
        "guidance_scale": 3.0,
    } | changes
    prompts = ["a red cube", "a blue cone"][: len(settings["seeds"])]
    return sample_latents(base, base.encode_prompts(prompts), None, controls, **settings)


def test_control_changes_the_latents_and_weight_scales_it(base: Base, net: ControlNet) -> None:
    plain, half, full = (
        sample(base, [Control(net, CONDITION, weight=w)] if w else []) for w in (0.0, 0.5, 1.0)
    )
    assert plain.shape == (2, 4, 8, 8)
    assert (full - plain).abs().mean() > (half - plain).abs().mean() > 1e-3


def test_a_control_that_is_off_is_as_if_it_were_not_there(base: Base, net: ControlNet, caplog: Any) -> None:
    plain = sample(base, [])
    with counted(net) as calls:
        for control in (Control(net, CONDITION, weight=0.0), Control(net, CONDITION, start=0.3, end=0.4)):
            assert torch.equal(sample(base, [control]), plain)
    assert calls == {"hint": [], "copy": []}
    assert [record.message.partition(":")[0] for record in caplog.records] == ["a control has no effect"] * 2


def test_an_untrained_control_is_reported(base: Base, untrained: ControlNet, caplog: Any) -> None:
    assert torch.equal(sample(base, [Control(untrained, CONDITION)]), sample(base, []))
    assert "not trained" in caplog.text


def test_calls_are_saved(base: Base, net: ControlNet) -> None:
    expected = {"balanced": [4] * 2, "prompt": [4] * 2, "control": [2] * 2, "unbalanced": [2] * 2}
    for mode, copies in expected.items():
        with counted(net) as calls:
            sample(base, [Control(net, CONDITION, end=0.5, mode=mode)])  # type: ignore[arg-type]
        assert calls == {"hint": [1], "copy": copies}
    with counted(net) as calls:
        sample(base, [Control(net, CONDITION)], guidance_scale=1.0)
    assert calls == {"hint": [1], "copy": [2] * 4}


def test_guidance_of_one_runs_the_base_once_for_each_picture(base: Base) -> None:
    sizes: list[int] = []
    hook = base.network.get_submodule("conv_in").register_forward_hook(
        lambda module, args, out: sizes.append(len(out))
    )
    sample(base, [], guidance_scale=1.0)
    sample(base, [], guidance_scale=2.0)
    hook.remove()
    assert sizes == [2] * 4 + [4] * 4


def test_guidance_is_the_formula(base: Base, net: ControlNet) -> None:
    """One step moves along the prediction, so that the scales lie on a line through the two passes."""
    controls = [Control(net, CONDITION, mode="unbalanced")]
    settings = {"sampler": "euler", "steps": 1, "seeds": [4]}
    at = [sample(base, controls, guidance_scale=scale, **settings) for scale in (0.0, 1.0, 3.0)]
    torch.testing.assert_close(at[2], at[0] + 3 * (at[1] - at[0]), rtol=1e-5, atol=1e-5)
    assert (at[1] - at[0]).abs().mean() > 1e-3


def test_controls_are_summed(base: Base, net: ControlNet, other_net: ControlNet) -> None:
    twice = sample(base, [Control(net, CONDITION, weight=0.5), Control(net, CONDITION, weight=0.5)])
    torch.testing.assert_close(twice, sample(base, [Control(net, CONDITION)]), rtol=1e-4, atol=1e-4)
    both = sample(base, [Control(net, CONDITION), Control(other_net, 1 - CONDITION)])
    swapped = sample(base, [Control(other_net, 1 - CONDITION), Control(net, CONDITION)])
    torch.testing.assert_close(both, swapped, rtol=1e-4, atol=1e-4)
    assert (both - twice).abs().mean() > 1e-3


def test_modes_against_a_hand_written_loop(base: Base, net: ControlNet) -> None:
    """Each mode, one DDIM step, written out with the network's own arguments."""
    noise = draw_noise(generators_of([4]), (4, 8, 8))
    prompted, empty = base.encode_prompts(["a red cube"]), base.encode_prompts([""])
    count = len(net.taps)
    soft = [0.825 ** (count - 1 - i) for i in range(count)]
    laws = {"balanced": ([1.0] * count, True), "prompt": (soft, True), "control": (soft, False)}
    laws["unbalanced"] = ([1.0] * count, False)
    seen: list[torch.Tensor] = []
    for mode, (weights, both) in laws.items():
        predictions = []
        for context, controlled in ((empty, both), (prompted, True)):
            with torch.no_grad():
                residuals = net(noise, torch.tensor(1), context, CONDITION)
                weighed = [r * w for r, w in zip(residuals, weights, strict=True)] if controlled else None
                skips, middle = (weighed[:-1], weighed[-1]) if weighed else (None, None)
                predictions.append(
                    base.network(
                        noise,
                        torch.tensor([1]),
                        context.tokens,
                        down_block_additional_residuals=skips,
                        mid_block_additional_residual=middle,
                    ).sample
                )
        epsilon = predictions[0] + 3 * (predictions[1] - predictions[0])
        alpha = 1 - base.scheduler_config["beta_start"]
        alpha *= 1 - (torch.linspace(0.00085**0.5, 0.012**0.5, 1000)[1] ** 2)
        found = (noise - (1 - alpha) ** 0.5 * epsilon) / alpha**0.5
        first = 1 - base.scheduler_config["beta_start"]
        expected = first**0.5 * found + (1 - first) ** 0.5 * epsilon
        ours = sample_latents(
            base,
            prompted,
            empty,
            [Control(net, CONDITION, mode=mode)],  # type: ignore[arg-type]
            noise,
            steps=1,
            guidance_scale=3.0,
            sampler="ddim",
        )
        torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-5)
        assert all((ours - others).abs().max() > 1e-3 for others in seen)
        seen.append(ours)


@pytest.mark.parametrize("sampler", ["ddim", "euler a", "dpm++2m"])
def test_a_picture_depends_on_its_own_seed_alone(base: Base, net: ControlNet, sampler: str) -> None:
    prompts = base.encode_prompts(["a red cube"])
    images = torch.cat([CONDITION, 1 - CONDITION, CONDITION.flip(-1)])

    def run(rows: list[int], batch: int) -> torch.Tensor:
        controls = [Control(net, images[rows])]
        seeds = [10 + row for row in rows]
        context = prompts.expand(len(rows))
        return sample_latents(
            base, context, None, controls, seeds=seeds, steps=3, sampler=sampler, batch=batch
        )

    whole = run([0, 1, 2], batch=1)
    for row in range(3):
        assert torch.equal(run([row], batch=1)[0], whole[row])
    torch.testing.assert_close(run([0, 1, 2], batch=3), whole, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(run([2, 0], batch=2), whole[[2, 0]], rtol=1e-3, atol=1e-4)


def test_given_noise_equals_that_of_the_seeds(base: Base) -> None:
    context = base.encode_prompts(["a", "b"])
    noise = draw_noise(generators_of([8, 9]), (4, 8, 8))
    for sampler in ("ddim", "euler a"):
        drawn, given = (
            sample_latents(base, context, noise=n, seeds=[8, 9], size=(64, 64), steps=3, sampler=sampler)
            for n in (None, noise)
        )
        assert torch.equal(drawn, given)


def test_a_mask_confines_control(base: Base, net: ControlNet) -> None:
    plain, everywhere = sample(base, []), sample(base, [Control(net, CONDITION)])
    white, left = torch.ones(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)
    left[..., :32] = 1
    assert torch.equal(sample(base, [Control(net, CONDITION, mask=white)]), everywhere)
    assert torch.equal(sample(base, [Control(net, CONDITION, mask=torch.zeros_like(white))]), plain)
    moved = (sample(base, [Control(net, CONDITION, mask=left)], steps=1) - sample(base, [], steps=1)).abs()
    assert moved[..., :4].mean() > moved[..., 4:].mean()


def test_hints_and_masks_of_each_picture(base: Base, net: ControlNet) -> None:
    images, masks = torch.cat([CONDITION, 1 - CONDITION]), torch.rand(2, 1, 64, 64)
    for mode in ("balanced", "control"):
        both = sample(base, [Control(net, images, mask=masks, mode=mode)], batch=1)  # type: ignore[arg-type]
        alone = sample_latents(
            base,
            base.encode_prompts(["a blue cone"]),
            None,
            [Control(net, images[1:], mask=masks[1:], mode=mode)],  # type: ignore[arg-type]
            seeds=[2],
            steps=4,
            sampler="ddim",
            guidance_scale=3.0,
        )
        assert torch.equal(both[1:], alone)
        together = sample(base, [Control(net, images, mask=masks, mode=mode)])  # type: ignore[arg-type]
        torch.testing.assert_close(together, both, rtol=1e-3, atol=1e-4)


def test_global_pool_controls_the_conditional_pass_only(base: Base) -> None:
    from .conftest import awake

    pooled = awake(ControlNet.from_base(base, global_pool=True), 2)
    with counted(pooled) as calls:
        sample(base, [Control(pooled, CONDITION)])
    assert calls["copy"] == [2] * 4


def test_progress_counts_all_steps(base: Base) -> None:
    seen: list[tuple[int, int, int]] = []
    sample(base, [], batch=1, progress=lambda step, total, latents: seen.append((step, total, len(latents))))
    assert seen == [(step, 8, 1) for step in range(1, 9)]


def test_what_progress_raises_stops_the_walk(base: Base) -> None:
    class Stop(Exception):
        pass

    def stop(step: int, total: int, latents: torch.Tensor) -> None:
        if step == 2:
            raise Stop

    with pytest.raises(Stop):
        sample(base, [], progress=stop)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"guidance_scale": -1.0}, SettingError, "guidance"),
        ({"guidance_scale": float("inf")}, SettingError, "guidance"),
        ({"batch": 0}, SettingError, "at least 1"),
        ({"sampler": "dim"}, SettingError, "ddim"),
        ({"seeds": [1]}, ShapeError, "1 seeds for 2 prompts"),
        ({"negative": Context(torch.zeros(3, 64, 16))}, ShapeError, "3 negative prompts for 2"),
        ({"seeds": None}, SettingError, "neither noise nor seeds"),
        ({"seeds": None, "noise": torch.zeros(1, 4, 8, 8)}, ShapeError, "1 noise for 2 prompts"),
        ({"seeds": None, "noise": torch.zeros(2, 4, 8, 8), "sampler": "euler a"}, SettingError, "one seed"),
    ],
)
def test_what_cannot_be_meant_is_refused(base: Base, changes: dict[str, Any], error: type, says: str) -> None:
    context = base.encode_prompts(["a", "b"])
    with pytest.raises(error, match=says):
        sample_latents(base, context, **({"seeds": [1, 2], "steps": 2} | changes))


def test_pictures_in_place_of_tensors_are_refused(base: Base, net: ControlNet) -> None:
    with pytest.raises(SettingError, match="tensor"):
        sample(base, [Control(net, "edges.png")])


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"image": torch.zeros(3, 3, 64, 64)}, ShapeError, "3 control images and 0 masks for 2"),
        ({"image": CONDITION, "mask": torch.ones(3, 1, 8, 8)}, ShapeError, "3 masks for 2"),
        ({"image": CONDITION * 255}, DataError, r"wanted them in \[0, 1\]"),
        ({"image": torch.zeros(1, 3, 32, 64)}, ShapeError, "64×64 pixels"),
        ({"image": torch.zeros(1, 4, 64, 64)}, ShapeError, "wanted floats"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(
    base: Base, net: ControlNet, changes: dict[str, Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=says):
        sample(base, [Control(net, **changes)])


def test_a_control_net_of_another_base_is_refused(base: Base) -> None:
    from controlnet.backbones.unet import UNet

    foreign = ControlNet.from_base(UNet().tiny("sdxl").network)
    with pytest.raises(ShapeError, match="same architecture"):
        sample(base, [Control(foreign, CONDITION)])


def test_precision_of_the_base_is_kept_from_the_schedulers(folder: Path, base: Base, net: ControlNet) -> None:
    """A base in half precision is walked in single precision, under a ControlNet in single precision."""
    half = load_base(folder, dtype=torch.bfloat16)
    context = base.encode_prompts(["a", "b"])
    found, exact = (
        sample_latents(
            b,
            context.to(dtype=b.dtype),
            controls=[Control(net, CONDITION)],
            seeds=[1, 2],
            steps=2,
            guidance_scale=1.0,
        )
        for b in (half, base)
    )
    assert found.dtype == torch.float32
    assert (found - exact).abs().mean() < 0.05 * exact.abs().mean()
