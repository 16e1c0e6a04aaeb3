"""The batch sampler: guidance, controls, regions, seeds."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.context import Context
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, ShapeError
from controlnet.sampling import Control, sample_latents
from controlnet.sampling.sampler import draw_noise, generators_of

from .walks import CONDITION, sample


def test_control_changes_the_latents_and_weight_scales_it(base: Base, net: ControlNet) -> None:
    plain, half, full = (
        sample(base, [Control(net, CONDITION, weight=w)] if w else []) for w in (0.0, 0.5, 1.0)
    )
    assert plain.shape == (2, 4, 8, 8)
    assert (full - plain).abs().mean() > (half - plain).abs().mean() > 1e-3


def test_an_untrained_control_is_reported(base: Base, untrained: ControlNet, caplog: Any) -> None:
    assert torch.equal(sample(base, [Control(untrained, CONDITION)]), sample(base, []))
    assert "not trained" in caplog.text


def test_weights_by_tap_reach_their_taps(base: Base, net: ControlNet) -> None:
    """A weight of 0 on all but the middle is a ControlNet that is connected at the middle alone."""
    only = Control(net, CONDITION, taps={tap.name: 0.0 for tap in net.taps[:-1]})
    found, whole = sample(base, [only]), sample(base, [Control(net, CONDITION)])
    cut = deepcopy(net)
    for tap in net.taps[:-1]:
        del cut.zeros[tap.name]
    assert torch.equal(found, sample(base, [Control(cut, CONDITION)]))
    assert (found - whole).abs().mean() > 1e-4


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
