"""Control: when it acts, on what, how strongly, and what is refused."""

from typing import Any

import pytest
import torch

from controlnet.errors import SettingError, UnknownName
from controlnet.sampling.control import MODES, Control, mode_of


@pytest.mark.parametrize(
    ("start", "end", "on"),
    [
        (0.0, 1.0, range(10)),
        (0.2, 1.0, range(2, 10)),
        (0.0, 0.5, range(5)),
        (0.25, 0.75, range(3, 7)),
        (1.0, 1.0, ()),
    ],
)
def test_interval_follows_the_rule_of_diffusers(net: Any, start: float, end: float, on: range) -> None:
    control = Control(net, torch.zeros(1), start=start, end=end)
    assert [i for i in range(10) if control.acts(i, 10)] == list(on)
    expected = [i for i in range(10) if not (i / 10 < start or (i + 1) / 10 > end)]
    assert expected == list(on)


@pytest.mark.parametrize(
    ("start", "end", "on"),
    [(0.0, 1.0, range(10)), (0.2, 0.5, range(2, 6)), (0.25, 0.75, range(3, 8)), (0.5, 0.5, range(5, 6))],
)
def test_interval_by_the_rule_of_the_web_ui(net: Any, start: float, end: float, on: range) -> None:
    """One step more at the end."""
    control = Control(net, torch.zeros(1), start=start, end=end, rule="webui")
    assert [i for i in range(10) if control.acts(i, 10)] == list(on)
    assert [i for i in range(10) if not (i / 10 < start or i / 10 > end)] == list(on)


def test_weight_zero_never_acts(net: Any) -> None:
    control = Control(net, torch.zeros(1), weight=0.0)
    assert not any(control.acts(i, 5) for i in range(5))
    assert "weight is 0" in (control.effect(5) or "")


def test_effect_names_the_reason(net: Any, untrained: Any) -> None:
    image = torch.zeros(1)
    assert Control(net, image).effect(20) is None
    assert "no one of the 20 steps" in (Control(net, image, start=0.51, end=0.54).effect(20) or "")
    assert "not trained" in (Control(untrained, image).effect(20) or "")
    assert "black" in (Control(net, image, mask=torch.zeros(1, 1, 4, 4)).effect(20) or "")


def test_effect_does_not_ask_whether_parameters_are_trainable(net: Any) -> None:
    flags = [p.requires_grad for p in net.parameters()]
    net.requires_grad_(False)
    assert Control(net, torch.zeros(1)).effect(20) is None
    for p, flag in zip(net.parameters(), flags, strict=True):
        p.requires_grad_(flag)


def test_modes_weigh_and_place(net: Any) -> None:
    image, count = torch.zeros(1), len(net.taps)
    soft = [0.825 ** (count - 1 - i) for i in range(count)]
    flat = [1.0] * count
    expected = {
        "balanced": (flat, False),
        "prompt": (soft, False),
        "control": (soft, True),
        "unbalanced": (flat, True),
    }
    for mode, (weights, conditional_only) in expected.items():
        control = Control(net, image, weight=0.5, mode=mode)  # type: ignore[arg-type]
        assert control.weights() == pytest.approx([0.5 * w for w in weights])
        assert control.conditional_only is conditional_only
        assert mode in MODES


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"start": 0.8, "end": 0.2}, "wanted"),
        ({"start": -0.1}, "wanted"),
        ({"end": 1.1}, "wanted"),
        ({"weight": float("nan")}, "wanted"),
        ({"law": "cldm"}, "has no soft weights"),
        ({"law": "diffusers", "mode": "unbalanced"}, "has no soft weights"),
        ({"law": "difusers", "mode": "guess"}, "did you mean diffusers"),
        ({"rule": "web ui"}, "did you mean webui"),
        ({"taps": {"skip99": 1}}, "no tap is called"),
    ],
)
def test_impossible_values_are_refused(net: Any, values: dict[str, Any], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        Control(net, torch.zeros(1), **values)


def test_mode_names_of_the_web_ui_are_understood() -> None:
    assert mode_of("Balanced") == "balanced"
    assert mode_of("My prompt is more important") == "prompt"
    assert mode_of("ControlNet is more important") == "control"
    assert mode_of("Guess mode") == mode_of("guess") == "control"
    with pytest.raises(UnknownName, match="balanced"):
        mode_of("ballanced")
