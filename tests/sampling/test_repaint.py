"""Painting anew and growing pictures of sizes that the base cannot make."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import Control, extended, inpaint_hint, outpaint, repaint
from controlnet.sampling.repaint import inpaint

PHOTO = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def test_a_picture_of_any_size_keeps_its_rest_to_the_bit(base: Base, net: ControlNet) -> None:
    mask = np.zeros((50, 70), np.uint8)
    mask[10:30, 40:] = 255
    control = Control(net, inpaint_hint(PHOTO, mask))
    pictures = inpaint(base, "x", PHOTO, mask, [control], steps=2, count=2)
    assert [p.size for p in pictures] == [(70, 50)] * 2
    for picture in pictures:
        changed = (np.asarray(picture) != PHOTO).any(axis=2)
        assert not changed[mask == 0].any()
        assert changed[mask > 0].mean() > 0.9
    assert not np.array_equal(*map(np.asarray, pictures))
    (soft,) = inpaint(base, "x", PHOTO, mask, steps=2, feather=4)
    changed = (np.asarray(soft) != PHOTO).any(axis=2)
    assert changed[15, 36:40].all() and not changed[:, :36].any()


def test_a_picture_grows_and_stays_as_it_is_within(base: Base) -> None:
    (grown,) = outpaint(base, "x", PHOTO, left=20, bottom=10, steps=2)
    assert grown.size == (90, 60)
    assert np.array_equal(np.asarray(grown)[:50, 20:], PHOTO)
    (soft,) = outpaint(base, "x", PHOTO, left=20, bottom=10, steps=2, feather=5)
    assert not np.array_equal(np.asarray(soft)[:50, 20:], PHOTO)
    assert np.array_equal(np.asarray(soft)[:45, 25:], PHOTO[:45, 5:])


def test_controls_come_onto_the_canvas_unscaled(base: Base, net: ControlNet, monkeypatch: Any) -> None:
    calls: list[tuple[list[Control], dict[str, Any]]] = []

    def fake(base: Base, prompt: str, controls: list[Control], **settings: Any) -> list[Image.Image]:
        calls.append((controls, settings))
        return [Image.fromarray(settings["image"])]

    monkeypatch.setattr(repaint, "generate", fake)
    canvas, mask = extended(PHOTO, right=30)
    controls = [Control(net, canvas, mask=mask), Control(net, inpaint_hint(canvas, mask))]
    (made,) = outpaint(base, "x", PHOTO, controls, right=30)
    assert np.array_equal(np.asarray(made), np.asarray(canvas))
    ((picture, hint), settings) = calls[0]
    assert (settings["width"], settings["height"]) == (128, 64)
    assert np.array_equal(picture.image[:50, :100], np.asarray(canvas))
    assert np.array_equal(picture.mask[:50, :100, 0], np.asarray(mask))
    assert torch.equal(hint.image[..., :50, :100], inpaint_hint(canvas, mask))
    assert hint.image.shape == (1, 3, 64, 128)
    # What the canvas adds below the new part is painted too: kept, it would show the network a false border.
    assert (settings["mask"][55, 75:] == 255).all() and (settings["mask"][55, :65] == 0).all()


def test_what_lies_under_the_new_part() -> None:
    for fill, wanted in (("edge", PHOTO[:, 0]), ("reflect", PHOTO[:, 1]), ("grey", PHOTO[:, 0] * 0 + 127)):
        canvas, mask = extended(PHOTO, left=1, fill=fill)  # type: ignore[arg-type]
        assert np.array_equal(np.asarray(canvas)[:, 0], wanted)
        assert np.asarray(mask)[:, 0].min() == 255 and not np.asarray(mask)[:, 1:].any()


def test_growing_by_nothing_and_unknown_fills_are_refused() -> None:
    with pytest.raises(SettingError, match="at least one side"):
        extended(PHOTO)
    with pytest.raises(SettingError, match="top=-1"):
        extended(PHOTO, left=3, top=-1)
    with pytest.raises(UnknownName, match="edge"):
        extended(PHOTO, left=3, fill="egde")  # type: ignore[arg-type]
