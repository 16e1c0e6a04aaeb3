"""What fits a base passes; what does not is refused by its number and origin; what is in vain is told."""

from typing import Any

import pytest
import torch

from controlnet.backbones import Base
from controlnet.backbones.unet import UNet
from controlnet.core.controlnet import ControlNet
from controlnet.errors import DataError, SettingError, ShapeError
from controlnet.sampling import Control
from controlnet.sampling.placing import placed

from .conftest import awake

CONDITION = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(5))
LATENTS = torch.Size([2, 4, 8, 8])


def place(base: Base, *controls: Control, guidance_scale: float = 3.0) -> list[Control]:
    return placed(base, controls, LATENTS, 4, guidance_scale)


def of(net: ControlNet, **changes: Any) -> Control:
    return Control(net, changes.pop("image", CONDITION), **changes)


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"image": torch.zeros(3, 3, 64, 64)}, ShapeError, "3 images for 2 pictures"),
        ({"mask": torch.ones(3, 1, 8, 8)}, ShapeError, "3 masks for 2 pictures"),
        ({"mask": torch.ones(1, 3, 8, 8)}, ShapeError, r"mask \(1, 3, 8, 8\)"),
        ({"mask": torch.ones(1, 1, 8, 8, dtype=torch.uint8)}, ShapeError, "uint8"),
        ({"mask": torch.full((1, 1, 8, 8), 255.0)}, DataError, r"from 255 to 255; wanted them in \[0, 1\]"),
        ({"mask": "mask.png"}, SettingError, "no tensor"),
        ({"image": CONDITION * 255}, DataError, r"wanted them in \[-1, 1\], below 0 only in holes"),
        ({"image": CONDITION * float("nan")}, DataError, "nan"),
        ({"image": torch.zeros(1, 3, 32, 64)}, ShapeError, "64×64 pixels"),
        ({"image": torch.zeros(1, 4, 64, 64)}, ShapeError, r"wanted floats \(B, 3, H, W\)"),
        ({"image": torch.zeros(1, 3, 64, 64, dtype=torch.uint8)}, ShapeError, "uint8"),
        ({"image": torch.zeros(3, 64, 64)}, ShapeError, "wanted floats"),
        ({"image": "edges.png"}, SettingError, "tensor"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    base: Base, net: ControlNet, changes: dict[str, Any], error: type, says: str
) -> None:
    with pytest.raises(error, match=rf"control 2 \(made from 'tiny'\).*{says}"):
        place(base, of(net), of(net, **changes))


def test_a_control_net_of_another_architecture_is_refused(base: Base) -> None:
    foreign = ControlNet.from_base(UNet().tiny("sdxl").network)
    with pytest.raises(ShapeError, match=r"control 1 \(made from 'UNet2D.*residuals.*same architecture"):
        place(base, of(foreign))


def test_a_control_net_that_reads_other_prompts_is_refused(base: Base) -> None:
    """As with SD 1.5 and 2.1: all residuals fit, the width of the prompt's tokens does not."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    other = UNet2DConditionModel(**UNet().describe(base.network) | {"cross_attention_dim": 12})
    net, lite = (awake(ControlNet.from_base(other, copy=kind), 2) for kind in ("full", "lite"))
    with pytest.raises(ShapeError, match="cross_attention_dim 12; the base 'tiny' has 16"):
        place(base, of(net))
    assert len(place(base, of(lite))) == 1


def test_a_control_net_of_another_family_is_refused(base: Base, net: ControlNet) -> None:
    class Other:
        name = "transformer"

    twin = awake(ControlNet.from_base(base), 2)
    twin.backbone = Other()  # type: ignore[assignment]
    with pytest.raises(ShapeError, match="the family transformer; the base 'tiny' is of the family unet"):
        place(base, of(net), of(twin))


def test_what_is_in_vain_is_left_out_and_told(
    base: Base, net: ControlNet, untrained: ControlNet, caplog: pytest.LogCaptureFixture
) -> None:
    kept = place(base, of(untrained), of(net), of(net, mask=torch.zeros(1, 1, 3, 5)), of(net, weight=0.0))
    assert [control.weight for control in kept] == [1.0]
    assert kept[0].net is net
    said = [record.message for record in caplog.records]
    assert [text.partition(" (")[0] for text in said] == ["control 1", "control 3", "control 4"]
    assert "not trained" in said[0] and "black" in said[1] and "weight is 0" in said[2]


def test_guidance_of_nought_leaves_conditional_controls_without_effect(
    base: Base, net: ControlNet, caplog: pytest.LogCaptureFixture
) -> None:
    kept = place(base, of(net), of(net, mode="unbalanced"), guidance_scale=0.0)
    assert [control.mode for control in kept] == ["balanced"]
    assert "conditional pass" in caplog.text
