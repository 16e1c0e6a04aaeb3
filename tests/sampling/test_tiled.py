"""Upscaling: each tile under its own part of controls and noise, one call of the networks at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import Control, generate, tiled, upscale

PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 50, 3), dtype=np.uint8))


def test_a_picture_grows_by_the_scale(base: Base, net: ControlNet) -> None:
    seen: list[tuple[int, int]] = []
    settings: dict[str, Any] = {"scale": 1.5, "strength": 0.5, "steps": 4, "overlap": 8}
    plain = upscale(base, "x", PHOTO, progress=lambda i, n, z: seen.append((i, n)), **settings)
    assert plain.size == (75, 60)
    tiles = len(tiled.tiling_of(base, PHOTO.size, 1.5, None, 8))
    assert tiles == 9
    assert seen == [(i, tiles * 2) for i in range(1, tiles * 2 + 1)]
    steered = upscale(base, "x", PHOTO, [Control(net, PHOTO)], **settings)
    assert np.abs(np.asarray(steered, float) - np.asarray(plain, float)).mean() > 1
    assert np.array_equal(np.asarray(upscale(base, "x", PHOTO, **settings)), np.asarray(plain))


def test_each_tile_has_its_own_part_of_everything(
    base: Base, net: ControlNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiles that reach the networks fit together to the picture, its map, its mask and one noise."""
    calls: list[dict[str, Any]] = []

    def fake(base: Base, prompt: str, controls: list[Control], **settings: Any) -> list[Image.Image]:
        calls.append({"controls": controls, **settings})
        return [Image.fromarray(settings["image"])]

    monkeypatch.setattr(tiled, "generate", fake)
    edges = (np.random.default_rng(2).random((80, 100, 1)) > 0.5).repeat(3, 2).astype(np.uint8) * 255
    region = torch.rand(1, 1, 80, 100, generator=torch.Generator().manual_seed(0))
    left = torch.zeros(1, 1, 8, 10)  # of another size than the picture; black but for the first column
    left[..., 0] = 1.0
    both = [Control(net, edges, mask=region), Control(net, edges, mask=left)]
    made = upscale(base, "x", PHOTO, both, scale=2, overlap=8)
    assert np.array_equal(np.asarray(made), tiled.enlarged(np.asarray(PHOTO), (100, 80)))
    tiling = tiled.tiling_of(base, PHOTO.size, 2, None, 8)
    assert len(calls) == len(tiling)
    parts: dict[tuple[int, int], torch.Tensor] = {}
    for box, call in zip(tiling, calls, strict=True):
        assert (call["width"], call["height"], call["seed"]) == (32, 32, 7)
        control, *others = call["controls"]
        assert len(others) == (box.left < 20)
        inside = (slice(box.top, min(box.bottom, 80)), slice(box.left, min(box.right, 100)))
        height, width = edges[inside].shape[:2]
        assert np.array_equal(control.image[:height, :width], edges[inside])
        assert torch.equal(control.mask[0, 0, :height, :width], region[0, 0][inside])
        assert call["noise"].shape == (1, 4, 4, 4)
        for y in range(4):
            for x in range(4):
                cell = call["noise"][0, :, y, x]
                assert torch.equal(parts.setdefault((box.top // 8 + y, box.left // 8 + x), cell), cell)
    assert len(parts) == 10 * 13
    assert torch.cat(list(parts.values())).std() == pytest.approx(1, abs=0.15)


def test_the_given_noise_is_what_a_picture_begins_from(base: Base) -> None:
    noise = torch.randn(1, 4, 4, 4, generator=torch.Generator().manual_seed(3))
    (given,) = generate(base, "x", steps=2, seed=1, noise=noise)
    (other,) = generate(base, "x", steps=2, seed=2, noise=noise)
    (drawn,) = generate(base, "x", steps=2, seed=3)
    assert np.array_equal(np.asarray(given), np.asarray(drawn))
    assert np.array_equal(np.asarray(given), np.asarray(other))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"scale": 0.0}, SettingError, "scale 0"),
        ({"scale": 1e4}, SettingError, "pixels a side"),
        ({"overlap": 32}, SettingError, "overlap"),
        ({"upscaler": "nearest"}, UnknownName, "lanczos"),
    ],
)
def test_what_cannot_be_meant_is_refused(base: Base, changes: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        upscale(base, "x", PHOTO, **changes)
