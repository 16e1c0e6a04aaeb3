"""One pass: what is drawn, and the loss of eq. 5 with control."""

from pathlib import Path

import numpy as np
import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.training.sections import ObjectivePart
from controlnet.training.step import Draws, Inputs, control_loss, draw_timesteps, loss_weight
from tests.helpers import tiny_base

SHAPE = (64, 4, 4, 4)


def draws(step: int, part: int = 0, **settings: object) -> Draws:
    return Draws.of(ObjectivePart.model_validate(settings), 1000, SHAPE, seed=0, step=step, part=part)


def test_every_step_and_part_draws_anew_and_the_same_again() -> None:
    first, again = draws(1), draws(1)
    others = [draws(2), draws(1, part=1)]
    assert torch.equal(first.noise, again.noise) and torch.equal(first.timestep, again.timestep)
    assert torch.equal(first.keeps_prompt, again.keeps_prompt)
    for other in others:
        assert not torch.equal(first.noise, other.noise)
        assert not torch.equal(first.keeps_prompt, other.keeps_prompt)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_prompts_are_dropped_in_their_share(share: float) -> None:
    kept = torch.cat([draws(step, prompt_dropout=share).keeps_prompt for step in range(50)])
    assert 1 - kept.double().mean().item() == pytest.approx(share, abs=0.03)


def test_timesteps_are_uniform_or_lean_towards_noise() -> None:
    u = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
    uniform = draw_timesteps(u, 1000, ObjectivePart())
    power = draw_timesteps(u, 1000, ObjectivePart(timesteps="power", exponent=0.5))
    assert uniform.min() == 0 and uniform.max() == 999
    assert np.ptp(np.bincount(uniform, minlength=1000)) <= 1
    # u^(1/2)·T has the density 2t/T²: a mean of two thirds.
    assert power.double().mean().item() == pytest.approx(2000 / 3, abs=1)
    assert power.max() == 999
    assert torch.equal(draw_timesteps(u, 1000, ObjectivePart(timesteps="power", exponent=1)), uniform)
    assert draw_timesteps(torch.tensor([1 - 1e-17], dtype=torch.float64), 1000, ObjectivePart()).item() == 999


def test_rows_are_chosen_alike_in_every_part() -> None:
    whole = draws(3)
    half = whole[slice(16, 32)]
    assert torch.equal(half.noise, whole.noise[16:32]) and torch.equal(
        half.keeps_prompt, whole.keeps_prompt[16:32]
    )
    assert torch.equal(half.posterior, whole.posterior[16:32]) and torch.equal(
        half.timestep, whole.timestep[16:32]
    )


def inputs(base: Base, count: int = 3) -> Inputs:
    torch.manual_seed(0)
    context = base.encode_prompts(["red circle", "", "a"][:count])
    return Inputs(torch.randn(count, 4, 4, 4), context, torch.rand(count, 3, 32, 32))


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_at_the_start_the_loss_is_the_bases_own(tmp_path: Path, prediction_type: str) -> None:
    base = load_base(tiny_base(tmp_path, prediction_type))
    net, given = ControlNet.from_base(base), inputs(base)
    noise, t = torch.randn(3, 4, 4, 4), torch.tensor([0, 500, 999])
    loss = control_loss(base, net, given, noise, t)
    alpha = base.objective.alpha[t].view(-1, 1, 1, 1)
    sigma = base.objective.sigma[t].view(-1, 1, 1, 1)
    x = alpha * given.latents + sigma * noise
    target = noise if prediction_type == "epsilon" else alpha * noise - sigma * given.latents
    own = (denoise(base, x, t, given.context) - target).square().mean((1, 2, 3))
    assert base.prediction_type == prediction_type
    assert torch.allclose(loss, own, rtol=1e-5)


def test_gradients_reach_the_controlnet_and_never_the_base(base: Base) -> None:
    net = ControlNet.from_base(base, hint="unshuffle", init="gaussian")
    loss = control_loss(base, net, inputs(base), torch.randn(3, 4, 4, 4), torch.tensor([1, 500, 900]))
    loss.mean().backward()
    assert all(p.grad is None for p in base.network.parameters())
    assert all(p.grad is not None for p in net.parameters())
    for group in net.parameter_groups().values():
        assert all(bool(p.grad.any()) for p in (group[0], group[-1]) if p.grad is not None)


def test_the_base_may_be_of_half_precision_while_the_controlnet_is_not(base_folder: Path) -> None:
    base = load_base(base_folder)
    net = ControlNet.from_base(base, init="gaussian")
    noise, t = torch.randn(3, 4, 4, 4), torch.tensor([1, 500, 900])
    whole = control_loss(base, net, inputs(base), noise, t)
    base.to(dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        half = control_loss(base, net, inputs(base), noise, t)
    assert half.dtype == torch.float32 and torch.allclose(half, whole, rtol=0.05)
    assert not torch.equal(half, whole)


def test_a_noise_offset_is_one_number_for_each_channel_and_changes_no_other_draw() -> None:
    plain, offset = draws(1), draws(1, noise_offset=0.1)
    shift = (offset.noise - plain.noise).double()
    assert torch.allclose(shift, shift.mean((2, 3), keepdim=True), atol=1e-6)
    assert shift[..., 0, 0].std().item() == pytest.approx(0.1, rel=0.15)
    assert torch.equal(plain.posterior, offset.posterior) and torch.equal(plain.timestep, offset.timestep)
    assert torch.equal(plain.keeps_prompt, offset.keeps_prompt)


def test_the_loss_is_weighed_by_timestep_and_by_place(base: Base) -> None:
    net, given = ControlNet.from_base(base), inputs(base)
    noise, t = torch.randn(3, 4, 4, 4), torch.tensor([0, 500, 999])
    plain = control_loss(base, net, given, noise, t)
    mask = torch.zeros(3, 1, 4, 4)
    mask[..., :2] = 1
    snr = ObjectivePart(weighting="min_snr", gamma=3.0)
    own = base.objective.min_snr(t, 3.0)
    assert loss_weight(base.objective, ObjectivePart(), t, None) is None
    by_time = control_loss(base, net, given, noise, t, loss_weight(base.objective, snr, t, None))
    assert torch.allclose(by_time, plain * own) and not torch.allclose(by_time, plain)
    parts = [
        control_loss(base, net, given, noise, t, loss_weight(base.objective, ObjectivePart(), t, each))
        for each in (mask, 1 - mask)
    ]
    assert torch.allclose(sum(parts), plain) and all((part > 0).all() for part in parts)
    both = control_loss(base, net, given, noise, t, loss_weight(base.objective, snr, t, mask))
    assert torch.allclose(both, parts[0] * own)
