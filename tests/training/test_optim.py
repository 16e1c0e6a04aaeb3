"""AdamW over the ControlNet alone; rates by group and step."""

import pytest
import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.training.optim import COSINE_FLOOR, make_optimizer, schedule, set_rates
from controlnet.training.sections import Optim


def test_the_optimizer_holds_every_parameter_of_the_controlnet_and_none_of_the_base(base: Base) -> None:
    net = ControlNet.from_base(base)
    held = [p for group in make_optimizer(net, Optim()).param_groups for p in group["params"]]
    assert len(held) == len({id(p) for p in held})
    assert {id(p) for p in held} == {id(p) for p in net.parameters()}
    storages = {p.data_ptr() for p in base.network.parameters()}
    assert storages.isdisjoint(p.data_ptr() for p in held)


@pytest.mark.parametrize(
    ("plan", "wanted"),
    [
        (Optim(lr=1e-4), {"copy": 1e-4, "hint": 1e-4, "zero": 1e-4}),
        (Optim(lr=1e-4, multiplier=5), {"copy": 1e-4, "hint": 5e-4, "zero": 5e-4}),
        (Optim(lr=1e-4, multiplier=5, zero_lr=1e-3), {"copy": 1e-4, "hint": 5e-4, "zero": 1e-3}),
    ],
)
def test_hint_encoder_and_zero_convolutions_have_rates_of_their_own(
    base: Base, plan: Optim, wanted: dict[str, float]
) -> None:
    assert set_rates(make_optimizer(ControlNet.from_base(base), plan), 1, 10, plan) == pytest.approx(wanted)


def test_settings_reach_adamw_under_their_own_names(base: Base) -> None:
    plan = Optim(lr=2e-5, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.03)
    for group in make_optimizer(ControlNet.from_base(base), plan).param_groups:
        assert (group["betas"], group["eps"], group["weight_decay"]) == ((0.8, 0.95), 1e-6, 0.03)
        assert group["lr"] == 2e-5


def test_schedules() -> None:
    constant, cosine = Optim(warmup=4), Optim(warmup=4, schedule="cosine")
    assert [schedule(step, 10, constant) for step in (1, 2, 4, 5, 10)] == [0.25, 0.5, 1, 1, 1]
    shares = [schedule(step, 10, cosine) for step in range(4, 11)]
    assert shares[0] == 1 and shares[-1] == pytest.approx(COSINE_FLOOR)
    assert shares == sorted(shares, reverse=True)
    assert schedule(1, 10, Optim()) == 1


def test_set_rates_writes_into_the_groups(base: Base) -> None:
    plan = Optim(lr=1e-3, warmup=10)
    optimizer = make_optimizer(ControlNet.from_base(base), plan)
    set_rates(optimizer, 5, 100, plan)
    assert {group["lr"] for group in optimizer.param_groups} == {5e-4}
    assert isinstance(optimizer, torch.optim.AdamW)
