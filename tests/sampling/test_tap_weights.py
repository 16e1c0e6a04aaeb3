"""Weights by tap: the laws of soft weights, one's own, and their text form."""

from typing import Any

import pytest
import torch

from controlnet.core.backbone import Tap
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import LAWS, Control, parse_taps, soft_weights
from controlnet.sampling.tap_weights import weights_of

IMAGE = torch.zeros(1)
SD = [Tap(f"skip{i}", 8, "map", stride) for i, stride in enumerate([1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8])]
SD.append(Tap("middle", 8, "map", 8))


def test_soft_laws_are_the_published_ones() -> None:
    cldm, diffusers, paper = (soft_weights(SD, law) for law in ("cldm", "diffusers", "paper"))
    assert cldm[0] == pytest.approx(0.0994, abs=1e-4)
    assert cldm[-1] == 1.0
    assert diffusers == pytest.approx(torch.logspace(-1, 0, 13).tolist())
    assert paper == (1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8)
    with pytest.raises(UnknownName, match="cldm"):
        soft_weights(SD, "cldn")  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", ["prompt", "control", "guess"])
@pytest.mark.parametrize("law", [*LAWS, None])
def test_laws_by_name(net: ControlNet, mode: Any, law: Any) -> None:
    control = Control(net, IMAGE, weight=0.5, mode=mode, law=law)
    assert control.weights() == pytest.approx([0.5 * w for w in soft_weights(net.taps, law or "cldm")])
    assert control.conditional_only is (mode != "prompt")


def test_weights_by_tap_multiply_the_rest(net: ControlNet) -> None:
    last = len(net.taps) - 1
    named = Control(net, IMAGE, 2.0, taps={"middle": 0.5, "skip0": -1})
    assert named.weights() == (-2.0, *(2.0,) * (last - 1), 1.0)
    listed = Control(net, IMAGE, taps=[0.1 * i for i in range(last + 1)], mode="prompt")
    soft = soft_weights(net.taps)
    assert listed.weights() == pytest.approx([0.1 * i * w for i, w in enumerate(soft)])


def test_weights_by_tap_without_effect_are_told(net: ControlNet, base: Any) -> None:
    silent = Control(net, IMAGE, taps=[0.0] * len(net.taps))
    assert silent.effect(4) == "its weights by tap are all 0"
    assert not silent.acts(0, 4)
    middle = ControlNet.from_base(base, connect="middle")
    with torch.no_grad():
        for parameter in middle.zeros.parameters():
            parameter.fill_(0.1)
    assert Control(middle, IMAGE).effect(4) is None
    assert "wherever its ControlNet has residuals: middle" in (
        Control(middle, IMAGE, taps={"middle": 0}).effect(4) or ""
    )


@pytest.mark.parametrize(
    ("taps", "error", "says"),
    [
        ({"midle": 1.0}, UnknownName, "middle"),
        ([1.0, 2.0], SettingError, "13 finite numbers"),
        ({"middle": float("nan")}, SettingError, "finite"),
    ],
)
def test_weights_that_fit_no_taps_are_refused(taps: Any, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        weights_of(SD, taps)


def test_the_text_form() -> None:
    assert parse_taps("middle:1.5| skip0 : 0") == {"middle": 1.5, "skip0": 0.0}
    assert parse_taps("0.1|-2|3") == (0.1, -2.0, 3.0)
    for text, says in [
        ("", "wanted tap:weight"),
        ("middle:x", "wanted"),
        ("a:1|2", "wanted"),
        ("a:1|a:2", "twice"),
    ]:
        with pytest.raises(SettingError, match=says):
            parse_taps(text)
