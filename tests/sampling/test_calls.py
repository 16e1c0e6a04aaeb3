"""Exact speed: what need not be computed is not called, counted call by call."""

from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, Schedule

from .conftest import awake
from .walks import CONDITION, counted, sample


def test_a_control_that_is_off_is_as_if_it_were_not_there(base: Base, net: ControlNet, caplog: Any) -> None:
    plain = sample(base, [])
    with counted(net) as calls:
        for control in (Control(net, CONDITION, weight=0.0), Control(net, CONDITION, start=0.3, end=0.4)):
            assert torch.equal(sample(base, [control]), plain)
    assert calls == {"hint": [], "copy": []}
    said = [record.message.partition(":")[0] for record in caplog.records]
    assert said == ["control 1 (made from 'tiny') has no effect"] * 2


def test_calls_are_saved(base: Base, net: ControlNet) -> None:
    expected = {"balanced": [4] * 2, "prompt": [4] * 2, "control": [2] * 2, "unbalanced": [2] * 2}
    for mode, copies in expected.items():
        with counted(net) as calls:
            sample(base, [Control(net, CONDITION, end=0.5, mode=mode)])  # type: ignore[arg-type]
        assert calls == {"hint": [1], "copy": copies}
    with counted(net) as calls:
        sample(base, [Control(net, CONDITION)], guidance_scale=1.0)
    assert calls == {"hint": [1], "copy": [2] * 4}
    with counted(net) as calls:  # two chunks under one image, then under one each
        sample(base, [Control(net, CONDITION)], batch=1)
    assert calls == {"hint": [1], "copy": [2] * 8}
    with counted(net) as calls:
        sample(base, [Control(net, torch.cat([CONDITION, 1 - CONDITION]))], batch=1)
    assert calls == {"hint": [1, 1], "copy": [2] * 8}


@pytest.mark.parametrize(
    ("weight", "changes", "calls"),
    [
        ("0:1|0.5:0|hold", {}, 3),
        ("0:1|0.5:0", {}, 3),
        ("0:0|0.2:0|1:1", {}, 4),
        ("0:1|1:-1", {}, 6),
        ("0:0|1:0", {}, 0),
        ("0:1|0.5:0|hold", {"start": 0.2}, 1),
        ("0:1", {"end": 0.5}, 3),
        ("0:1", {"end": 0.5, "rule": "webui"}, 4),
    ],
)
def test_no_call_where_the_weight_is_zero(
    base: Base, net: ControlNet, weight: str, changes: dict[str, Any], calls: int
) -> None:
    """Six steps, of positions 0, 0.2, … 1."""
    control = Control(net, CONDITION, Schedule.parse(weight), **changes)
    with counted(net) as made:
        sample(base, [control], steps=6)
    assert made == {"hint": [1] if calls else [], "copy": [4] * calls}


def test_a_schedule_is_its_weight_at_each_step(base: Base, net: ControlNet) -> None:
    """Weight 0 from the middle on is the interval that ends there; a constant schedule is the constant."""
    for schedule, same in (
        ("0:0.7|0.5:0|hold", {"weight": 0.7, "end": 0.5}),
        ("0.3:0.7", {"weight": 0.7}),
        ("0:0|0.5:-1|hold", {"weight": -1.0, "start": 0.5}),
    ):
        found = sample(base, [Control(net, CONDITION, Schedule.parse(schedule))])
        assert torch.equal(found, sample(base, [Control(net, CONDITION, **same)]))


def test_guidance_of_one_runs_the_base_once_for_each_picture(base: Base) -> None:
    sizes: list[int] = []
    hook = base.network.get_submodule("conv_in").register_forward_hook(
        lambda module, args, out: sizes.append(len(out))
    )
    sample(base, [], guidance_scale=1.0)
    sample(base, [], guidance_scale=2.0)
    hook.remove()
    assert sizes == [2] * 4 + [4] * 4


def test_global_pool_controls_the_conditional_pass_only(base: Base) -> None:
    pooled = awake(ControlNet.from_base(base, global_pool=True), 2)
    with counted(pooled) as calls:
        sample(base, [Control(pooled, CONDITION)])
    assert calls["copy"] == [2] * 4
