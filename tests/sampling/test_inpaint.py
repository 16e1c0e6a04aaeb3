"""The hint of inpainting ControlNets, and soft edges of masks."""

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.conditions import annotate
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError
from controlnet.sampling import Control, feathered, generate, inpaint_hint

PHOTO = np.random.default_rng(1).integers(1, 255, (64, 64, 3), dtype=np.uint8)
MASK = np.zeros((64, 64), np.uint8)
MASK[16:40, 8:24] = 255


def test_the_hint_is_minus_one_where_painted_anew_and_the_picture_elsewhere() -> None:
    hint = inpaint_hint(PHOTO, MASK)
    assert hint.shape == (1, 3, 64, 64)
    wanted = torch.from_numpy(PHOTO / 255.0).permute(2, 0, 1).float()
    anew = torch.from_numpy(MASK > 0)
    torch.testing.assert_close(hint[0][:, ~anew], wanted[:, ~anew])
    assert (hint[0][:, anew] == -1).all()
    assert inpaint_hint(PHOTO, MASK, size=(128, 32)).shape == (1, 3, 32, 128)


def test_black_of_the_map_is_what_is_painted_anew() -> None:
    marked = PHOTO.copy()
    marked[MASK > 0] = 255
    marked[0, 0] = 0  # black in the picture itself is no hole
    hint = inpaint_hint(annotate("inpaint", marked))
    assert torch.equal((hint[0] == -1).all(dim=0), torch.from_numpy(MASK > 0))


def test_the_hint_steers_a_control_and_the_rest_returns_to_the_bit(base: Base, net: ControlNet) -> None:
    control = Control(net, inpaint_hint(PHOTO, MASK))
    (steered,) = generate(base, "x", [control], image=PHOTO, mask=MASK, steps=2)
    (plain,) = generate(base, "x", image=PHOTO, mask=MASK, steps=2)
    changed = (np.asarray(steered) != np.asarray(plain)).any(axis=2)
    assert changed[MASK > 0].mean() > 0.5
    assert np.array_equal(np.asarray(steered)[MASK == 0], PHOTO[MASK == 0])


def test_a_feather_lies_outside_of_the_mask_and_falls_smoothly() -> None:
    soft = np.asarray(feathered(MASK, 6)).astype(int)
    assert (soft[MASK > 0] == 255).all()
    edge = soft[28, 24:40]
    assert (np.diff(edge)[:6] < 0).all() and np.abs(np.diff([255, *edge])).max() < 80
    assert (edge[:6] > 0).all() and (edge[6:] == 0).all()
    assert np.array_equal(np.asarray(feathered(MASK, 0)), MASK)
    assert not np.asarray(feathered(np.zeros_like(MASK), 6)).any()
    with pytest.raises(SettingError, match="feather of -1"):
        feathered(MASK, -1)


def test_a_feathered_mask_blends_and_beyond_it_nothing_changes(base: Base) -> None:
    soft = np.asarray(feathered(Image.fromarray(MASK), 6))
    (picture,) = generate(base, "x", image=PHOTO, mask=soft, steps=2)
    changed = np.abs(np.asarray(picture).astype(int) - PHOTO).mean(axis=2)
    assert not changed[soft == 0].any()
    assert changed[(soft > 0) & (soft < 60)].mean() < changed[soft == 255].mean() / 3
    assert changed[(soft > 0) & (soft < 255)].mean() > 1
