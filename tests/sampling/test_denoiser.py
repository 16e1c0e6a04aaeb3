"""What a control adds to a batch: on which rows, where, and how much, residual by residual."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.core.residuals import Residuals
from controlnet.sampling import Control, Schedule
from controlnet.sampling.denoiser import Steering, Step

CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
X = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(6))
STEP = Step(1, 3, torch.tensor(500))


@torch.no_grad()
def added(base: Base, net: ControlNet, rows: slice = slice(0, 2), **settings: Any) -> Residuals:
    mask = settings.pop("mask", None)
    control = Control(net, CONDITION, **settings)
    steering = Steering(control, rows, net.embed(CONDITION), mask)
    return steering.residuals(X, STEP, base.encode_prompts(["a red cube", "a blue cone"]))


@pytest.mark.parametrize("sides", [(64, 64), (200, 120), (8, 8), (3, 5), (1, 2)])
def test_outside_of_a_region_no_residual_is_touched(
    base: Base, net: ControlNet, sides: tuple[int, int]
) -> None:
    """The right part of the picture, which no cell of the mask's left half reaches, whatever its size."""
    mask = torch.zeros(1, 1, *sides)
    mask[..., : sides[1] // 2] = 1
    for masked, whole in zip(added(base, net, mask=mask), added(base, net), strict=True):
        half = masked.shape[-1] // 2
        if half:
            beyond = half + (sides[1] % 2)
            assert not masked[..., beyond:].any()
            edge = half - 1 if sides[1] % 2 else half
            assert torch.equal(masked[..., :edge], whole[..., :edge])
    assert any(r.shape[-1] > 1 for r in added(base, net))


def test_soft_edges_are_parts_of_the_residuals(base: Base, net: ControlNet) -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 1, 8, 8)
    masked, whole = added(base, net, mask=ramp)[0], added(base, net)[0]
    torch.testing.assert_close(masked, whole * ramp)
    grey = torch.full((1, 1, 64, 64), 0.25)
    for quarter, one in zip(added(base, net, mask=grey), added(base, net), strict=True):
        torch.testing.assert_close(quarter, one * 0.25)


def test_each_picture_has_its_own_region(base: Base, net: ControlNet) -> None:
    masks = torch.stack([torch.zeros(1, 4, 4), torch.ones(1, 4, 4)])
    for masked, whole in zip(added(base, net, mask=masks), added(base, net), strict=True):
        assert not masked[0].any()
        assert torch.equal(masked[1], whole[1])


def test_other_rows_get_nothing(base: Base, net: ControlNet) -> None:
    for some, all_ in zip(added(base, net, rows=slice(1, 2)), added(base, net), strict=True):
        assert not some[0].any()
        torch.testing.assert_close(some[1], all_[1], rtol=1e-4, atol=1e-5)


def test_weights_are_those_of_the_step_and_the_tap(base: Base, net: ControlNet) -> None:
    settings = {"weight": Schedule.parse("0:1|1:-1|ease-in"), "mode": "guess", "law": "paper"}
    weighed = added(base, net, **settings, taps={"middle": 3.0})
    for factor, tap, one, whole in zip(
        (0.5,) * 12 + (1.5,), net.taps, weighed, added(base, net), strict=True
    ):
        torch.testing.assert_close(one, whole * factor * tap.stride)


def test_global_pooling_adds_one_value_for_each_channel(base: Base) -> None:
    from .conftest import awake

    plain = awake(ControlNet.from_base(base), 2)
    pooled = deepcopy(plain)
    pooled.settings = replace(pooled.settings, global_pool=True)
    for mean, whole in zip(added(base, pooled), added(base, plain), strict=True):
        torch.testing.assert_close(mean, whole.mean((2, 3), keepdim=True).expand_as(whole))
