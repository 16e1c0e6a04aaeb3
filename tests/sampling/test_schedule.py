"""Weights over the steps: keyframes, easings, the text form, and when a ControlNet is called under them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import EASINGS, Control, Keyframe, Schedule, parse_weight

IMAGE = torch.zeros(1)


def values(text: str, count: int = 5) -> list[float]:
    schedule = Schedule.parse(text)
    return [schedule.at(index, count) for index in range(count)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0:1", [1, 1, 1, 1, 1]),
        ("0:1|1:0", [1, 0.75, 0.5, 0.25, 0]),
        ("0.25:1|0.75:0", [1, 1, 0.5, 0, 0]),
        ("0:0|1:2|ease-in", [0, 0.125, 0.5, 1.125, 2]),
        ("0:0|1:2|ease-out", [0, 0.875, 1.5, 1.875, 2]),
        ("0:0|1:1|ease", [0, 0.15625, 0.5, 0.84375, 1]),
        ("0:1|0.5:-1|hold", [1, 1, -1, -1, -1]),
        ("0:0|0.5:1|1:0", [0, 0.5, 1, 0.5, 0]),
    ],
)
def test_weights_at_the_steps(text: str, wanted: list[float]) -> None:
    assert values(text) == pytest.approx(wanted)


def test_one_step_has_the_first_weight() -> None:
    assert Schedule.parse("0:0.3|1:0").at(0, 1) == 0.3


def test_hold_is_an_interval(net: ControlNet) -> None:
    """Cut off at a keyframe, the steps are those of an interval, by the rule of diffusers."""
    for count in (4, 10, 20, 30):
        for cut in (0.1, 0.25, 0.5, 0.9):
            ends = Control(net, IMAGE, end=cut)
            held = Control(net, IMAGE, Schedule((Keyframe(0, 1), Keyframe(cut, 0)), "hold"))
            if (cut * count).is_integer():
                assert [ends.acts(i, count) for i in range(count)] == [
                    held.acts(i, count) for i in range(count)
                ]


@given(
    st.dictionaries(st.floats(0, 1), st.floats(-9, 9), min_size=1, max_size=5),
    st.sampled_from(sorted(EASINGS)),
)
def test_the_text_form_comes_back(frames: dict[float, float], easing: str) -> None:
    schedule = Schedule(tuple(Keyframe(at, frames[at]) for at in sorted(frames)), easing)  # type: ignore[arg-type]
    assert Schedule.parse(str(schedule)) == schedule
    weights = [schedule.at(index, 7) for index in range(7)]
    assert min(frames.values()) - 1e-9 <= min(weights) <= max(weights) <= max(frames.values()) + 1e-9
    assert all(schedule.weight(at) == weight for at, weight in frames.items())


def test_text_may_be_a_number_or_a_schedule_loosely_written() -> None:
    assert parse_weight(" 0.8") == 0.8
    assert parse_weight("0: 1 | .6:.2 | Ease_In") == Schedule((Keyframe(0, 1), Keyframe(0.6, 0.2)), "ease-in")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "wanted a number"),
        ("strong", "wanted a number"),
        ("0:1|x:2", "'x:2' is no keyframe"),
        ("0:1|0.5", "no easing is called '0.5'"),
        ("0:1|easing", "did you mean ease"),
        ("0:1|1.5:0", "position from 0"),
        ("0:nan", "finite weight"),
        ("0.5:1|0.5:0", "each later"),
        ("0.6:1|0.2:0", "each later"),
        ("0:1||1:0", "'' is no keyframe"),
    ],
)
def test_other_texts_are_refused(text: str, says: str) -> None:
    with pytest.raises(SettingError, match=says):
        parse_weight(text)


def test_values_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(SettingError, match="one at least"):
        Schedule(())
    with pytest.raises(UnknownName, match="linear"):
        Schedule((Keyframe(0, 1),), "linaer")  # type: ignore[arg-type]


def test_a_control_follows_its_schedule(net: ControlNet) -> None:
    control = Control(net, IMAGE, Schedule.parse("0:1|1:0"))
    assert [control.acts(index, 5) for index in range(5)] == [True] * 4 + [False]
    assert control.weights(1, 5) == (0.75,) * len(net.taps)
    assert control.effect(5) is None
    never = Control(net, IMAGE, Schedule.parse("0:0"))
    assert never.effect(5) == "its weight is 0"
    late = Control(net, IMAGE, Schedule.parse("0.5:0|0.6:1"), end=0.5)
    assert "with a weight other than 0" in (late.effect(10) or "")
