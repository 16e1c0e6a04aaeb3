"""The second pass: its size, where it begins, which controls it has."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, ShapeError, UnknownName
from controlnet.sampling import Control, generate, hires, second_pass

EDGES = Image.fromarray(
    (np.random.default_rng(0).random((90, 130, 1)) > 0.8).repeat(3, axis=2).astype(np.uint8) * 255
)


def same(a: Image.Image, b: Image.Image) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def test_two_calls_of_generate_are_what_it_is(base: Base) -> None:
    settings: dict[str, Any] = {"steps": 2, "guidance_scale": 3.0, "negative_prompt": "grey"}
    pictures = hires(base, "x", strength=0.6, second_steps=4, seed=5, count=2, **settings)
    assert [p.size for p in pictures] == [(64, 64)] * 2
    for k, picture in enumerate(pictures):
        (first,) = generate(base, "x", seed=5 + k, **settings)
        assert first.size == (32, 32)
        larger = Image.fromarray(second_pass.enlarged(np.asarray(first), (64, 64)))
        again = settings | {"steps": 4}
        (wanted,) = generate(base, "x", image=larger, strength=0.6, seed=5 + k, **again)
        assert same(picture, wanted)


def test_latents_are_enlarged_without_a_trip_through_pixels(base: Base) -> None:
    seen: list[torch.Tensor] = []
    generate(base, "x", steps=2, progress=lambda i, n, z: seen.append(z))
    larger = torch.nn.functional.interpolate(seen[-1], scale_factor=2, mode="bicubic")
    (wanted,) = generate(base, "x", steps=2, image=larger, strength=0.6, width=64, height=64)
    (picture,) = hires(base, "x", steps=2, strength=0.6, upscaler="latent")
    assert same(picture, wanted)
    assert not same(picture, hires(base, "x", steps=2, strength=0.6)[0])
    with pytest.raises(SettingError, match="latents with a mask"):
        generate(base, "x", image=larger, mask=EDGES, width=64, height=64)


def test_controls_in_both_passes_or_in_one(base: Base, net: ControlNet, monkeypatch: Any) -> None:
    passes: list[tuple[int, tuple[int, int]]] = []

    def fake(base: Base, prompt: str, controls: list[Control], **settings: Any) -> list[Image.Image]:
        passes.append((len(controls), (settings["width"], settings["height"])))
        return [Image.new("RGB", (settings["width"], settings["height"]))]

    monkeypatch.setattr(second_pass, "generate", fake)
    sizes = [(64, 64), (128, 128)]
    one = [Control(net, EDGES)]
    for first, second, wanted in ((one, None, (1, 1)), (one, (), (1, 0)), ((), one, (0, 1))):
        passes.clear()
        hires(base, "x", first, second)
        assert passes == list(zip(wanted, sizes, strict=True))
    passes.clear()
    hires(base, "x", one, width=64, height=128, scale=1.5)
    assert [size for _, size in passes] == [(64, 128), (128, 192)]


def test_the_first_pass_has_the_shape_of_the_control_and_the_area_of_the_base(
    base: Base, net: ControlNet, monkeypatch: Any
) -> None:
    monkeypatch.setattr(type(base), "sample_size", property(lambda self: 512))
    wide = Control(net, Image.new("RGB", (1600, 900)))
    assert second_pass.pass_sizes(base, [wide], None, None, 2) == ((704, 384), (1408, 768))
    assert second_pass.pass_sizes(base, [], None, None, 1.5) == ((512, 512), (768, 768))


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"scale": 1.0}, SettingError, "scale 1"),
        ({"scale": 100.0}, ShapeError, "smaller width"),
        ({"count": 0}, SettingError, "count 0"),
        ({"width": 100, "height": 64}, ShapeError, "multiples"),
        ({"upscaler": "esrgan", "steps": 1}, UnknownName, "lanczos"),
    ],
)
def test_what_cannot_be_meant_is_refused(base: Base, changes: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        hires(base, "x", **changes)
