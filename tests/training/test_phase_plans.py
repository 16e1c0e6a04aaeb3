"""Phases as a plan says them: what each keeps of the one before, what makes no sense, and when one ends."""

from typing import Any

import pytest

from controlnet.errors import PlanError
from controlnet.training.phases import Until
from tests.training.conftest import MakePlan

THREE = (
    "phases=[{connect: middle, until: {step: 2}}, {connect: all, lr: 5.0e-4, until: {step: 4}}, "
    "{unlock: decoder, lr: 2.0e-4}]"
)


def test_a_phase_keeps_what_it_does_not_change(make_plan: MakePlan) -> None:
    found = make_plan(THREE, "optim.zero_lr=3e-3").stages
    assert [(stage.connect, stage.unlock, stage.optim.lr) for stage in found] == [
        *(("middle", "nothing", 1e-3), ("all", "nothing", 5e-4), ("all", "decoder", 2e-4)),
    ]
    assert {stage.optim.zero_lr for stage in found} == {3e-3}


def test_a_plan_without_phases_has_one(make_plan: MakePlan) -> None:
    (only,) = make_plan("control.connect=middle").stages
    assert only.told() == {"phase": 1, "connect": "middle", "unlock": "nothing", "lr": 1e-3}
    assert only.until is None


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ("[{connect: middle}, {connect: all}]", r"phases\[0\] has no until"),
        ("[{connect: middle, until: {}}, {connect: all}]", "wanted one of step, arrival, gain, adherence"),
        ("[{until: {step: 3}}, {connect: middle}]", "connections are only added"),
        ("[{unlock: decoder, until: arrival}, {unlock: nothing}]", "it stays unlocked"),
        ("[{until: arrival}, {connect: all}]", r"phases\[1\] is as the one before"),
        ("[{unlock: decoder, until: {step: 3}}]", "is the last and has an until"),
        ("[{connect: middle, until: {step: 3}}, {until: {step: 3}, lr: 1.0e-5}, {lr: 1.0e-6}]", "each later"),
        ("[{connect: middle, until: arrival}, {connect: all, until: arrival}, {lr: 1.0e-6}]", "comes once"),
        ("[{connect: middle, until: {adherence: 0.5}}, {connect: all}]", "give watch.adherence"),
        ("[{conect: middle}]", "did you mean connect"),
    ],
)
def test_phases_that_make_no_sense(make_plan: MakePlan, phases: str, told: str) -> None:
    with pytest.raises(PlanError, match=told):
        make_plan(f"phases={phases}")


def test_waiting_for_a_gain_that_is_not_measured(make_plan: MakePlan) -> None:
    with pytest.raises(PlanError, match=r"watch\.gain_every is 0"):
        make_plan("phases=[{connect: middle, until: arrival}, {connect: all}]", "watch.gain_every=0")


@pytest.mark.parametrize(
    ("until", "record", "arrived", "upwards", "why"),
    [
        ({"step": 3}, {}, None, True, None),
        ({"step": 2}, {}, None, True, "step 2 is done"),
        ({"step": 9, "arrival": True}, {}, 1, True, "control has arrived at step 1"),
        ({"gain": 0.1}, {"gain": 0.2, "gain_error": 0.01}, None, True, "the control gain is 0.20000"),
        ({"gain": 0.1}, {"gain": 0.2, "gain_error": 0.1}, None, True, None),
        ({"gain": 0.1}, {"gain": 0.05, "gain_error": 0.001}, None, True, None),
        ({"adherence": 0.5}, {"adherence": 0.6}, None, True, "the adherence is 0.600"),
        ({"adherence": 0.5}, {"adherence": 0.6}, None, False, None),
        ({"adherence": 0.5}, {"adherence": 0.4}, None, False, "the adherence is 0.400"),
    ],
)
def test_ends(
    until: dict[str, Any], record: Any, arrived: int | None, upwards: bool, why: str | None
) -> None:
    assert Until(**until).reached(2, record, arrived, upwards) == why
