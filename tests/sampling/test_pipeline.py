"""From prompts to pictures: sizes, seeds, counts, beginning from a picture, painting anew."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import DataError, SettingError, ShapeError, UnknownName
from controlnet.sampling import Control, Schedule, generate

EDGES = Image.fromarray(
    (np.random.default_rng(0).random((64, 128, 1)) > 0.8).repeat(3, axis=2).astype(np.uint8) * 255
)
PHOTO = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def same(a: Image.Image, b: Image.Image) -> bool:
    return np.array_equal(np.asarray(a), np.asarray(b))


def distance(a: Image.Image, b: Image.Image) -> float:
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


def test_the_signature_is_the_contract() -> None:
    defaults = {name: p.default for name, p in inspect.signature(generate).parameters.items()}
    expected: dict[str, Any] = {
        "base": inspect.Parameter.empty, "prompt": inspect.Parameter.empty, "controls": (),
        "negative_prompt": "", "steps": 20, "guidance_scale": 7.5, "seed": 7, "count": 1,
        "sampler": "dpm++2m", "width": None, "height": None, "image": None, "mask": None,
        "strength": 1.0, "progress": None,
    }  # fmt: skip
    assert {name: defaults[name] for name in expected} == expected
    control = {name: p.default for name, p in inspect.signature(Control).parameters.items()}
    settings = {"weight": 1.0, "start": 0.0, "end": 1.0, "mode": "balanced", "mask": None}
    assert {name: control[name] for name in settings} == settings


def test_pictures_take_the_size_of_the_control(base: Base, net: ControlNet) -> None:
    pictures = generate(base, "a red cube", [Control(net, EDGES)], steps=2)
    assert [p.size for p in pictures] == [(128, 64)]
    assert pictures[0].mode == "RGB"
    plain = generate(base, "a red cube", steps=2, width=128, height=64)
    assert distance(pictures[0], plain[0]) > 1
    assert generate(base, "a red cube", steps=1)[0].size == (32, 32)


@pytest.mark.parametrize("sampler", ["dpm++2m", "euler a"])
def test_a_picture_is_the_same_whatever_is_made_with_it(base: Base, net: ControlNet, sampler: str) -> None:
    controls = [Control(net, EDGES)]
    several = generate(base, "a red cube", controls, steps=3, seed=5, count=3, sampler=sampler)
    for k, picture in enumerate(several):
        (alone,) = generate(base, "a red cube", controls, steps=3, seed=5 + k, sampler=sampler)
        assert same(alone, picture)
    assert not same(several[0], several[1])
    together = generate(base, "a red cube", controls, steps=3, seed=5, count=3, sampler=sampler, batch=3)
    assert max(distance(a, b) for a, b in zip(several, together, strict=True)) < 0.1


def test_prompts_come_one_after_the_other(base: Base) -> None:
    prompts = ["a red cube", "a blue cone"]
    pictures = generate(base, prompts, negative_prompt=["", "grey"], steps=2, seed=3, count=2)
    assert len(pictures) == 4
    (last,) = generate(base, "a blue cone", negative_prompt="grey", steps=2, seed=6)
    assert same(last, pictures[3])


def test_progress_is_told_of_each_step(base: Base) -> None:
    seen: list[tuple[int, int, tuple[int, ...]]] = []
    generate(base, "x", steps=3, count=2, progress=lambda i, n, z: seen.append((i, n, tuple(z.shape))))
    assert seen == [(i, 6, (1, 4, 4, 4)) for i in range(1, 7)]


def test_strength_leads_away_from_the_picture(base: Base) -> None:
    """With few steps left, what comes out is close to the picture's own trip through the VAE."""
    pixels = torch.from_numpy(np.asarray(PHOTO) / 127.5 - 1).permute(2, 0, 1)[None].float()
    through = base.decode_latents(base.encode_pixels(pixels))[0].permute(1, 2, 0)
    returned = Image.fromarray(((through / 2 + 0.5) * 255).round().byte().numpy())
    settings: dict[str, Any] = {"image": PHOTO, "steps": 50, "guidance_scale": 1.0, "sampler": "ddim"}
    weak, strong = (generate(base, "x", strength=s, **settings)[0] for s in (0.02, 0.9))
    assert weak.size == PHOTO.size
    assert distance(weak, returned) < distance(strong, returned)


def test_painting_anew_keeps_the_rest_exactly(base: Base) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[16:40, 8:24] = 255
    for strength in (1.0, 0.5):
        (picture,) = generate(base, "x", image=PHOTO, mask=Image.fromarray(mask), strength=strength, steps=4)
        changed = (np.asarray(picture) != np.asarray(PHOTO)).any(axis=2)
        assert not changed[mask == 0].any()
        assert changed[mask == 255].mean() > 0.9


def test_the_rest_of_the_latents_is_kept_while_painting(base: Base) -> None:
    seen: list[torch.Tensor] = []
    mask = Image.fromarray(np.uint8(255) * (np.indices((64, 64))[1] >= 32))
    generate(base, "x", image=PHOTO, mask=mask, steps=3, progress=lambda i, n, z: seen.append(z.clone()))
    pixels = torch.from_numpy(np.asarray(PHOTO) / 127.5 - 1).permute(2, 0, 1)[None].float()
    own = base.encode_pixels(pixels)
    torch.testing.assert_close(seen[-1][..., :4], own[..., :4])
    assert (seen[-1][..., 4:] - own[..., 4:]).abs().mean() > 0.1


def test_an_image_without_effect_is_told(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    generate(base, "x", image=PHOTO, steps=1)
    assert "strength" in caplog.text


def test_a_negative_prompt_without_effect_is_told(base: Base, caplog: pytest.LogCaptureFixture) -> None:
    generate(base, "x", steps=1, guidance_scale=1.0)
    assert not caplog.records
    generate(base, "x", negative_prompt="grey", steps=1, guidance_scale=1.0)
    assert "negative prompt has no effect" in caplog.text


def test_prompts_may_be_left_empty_under_control(base: Base, net: ControlNet) -> None:
    """Guess mode, as a whole call; all settings of a control pass through."""
    weight, mask = Schedule.parse("0:1|1:0.5|ease"), np.uint8(255) * np.eye(16, dtype=np.uint8)
    settings: dict[str, Any] = {"weight": weight, "mode": "guess", "law": "diffusers", "rule": "webui"}
    (guessed,) = generate(
        base, "", [Control(net, EDGES, mask=mask, taps={"middle": 2.0}, **settings)], steps=3
    )
    (plain,) = generate(base, "", steps=3, width=128, height=64)
    assert distance(guessed, plain) > 0.1


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"width": 100, "height": 64}, ShapeError, "multiples of 64"),
        ({"count": 0}, SettingError, "count 0"),
        ({"prompt": []}, SettingError, "0 prompts"),
        ({"negative_prompt": ["a", "b"]}, SettingError, "2 negative prompts for 1"),
        ({"seed": -1}, SettingError, "random"),
        ({"sampler": "uniq"}, UnknownName, "unipc"),
        ({"steps": 0}, SettingError, "steps"),
        ({"strength": 0.5}, SettingError, "image"),
        ({"mask": PHOTO}, SettingError, "image"),
        ({"image": "nowhere.png"}, DataError, "nowhere.png"),
        ({"image": PHOTO, "strength": 2.0}, SettingError, "strength"),
    ],
)
def test_what_cannot_be_meant_is_refused(base: Base, changes: dict[str, Any], error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        generate(base, **({"prompt": "x", "steps": 1} | changes))


def test_gradients_are_not_kept(base: Base, net: ControlNet) -> None:
    seen: list[torch.Tensor] = []
    generate(base, "x", [Control(net, EDGES)], steps=1, progress=lambda i, n, z: seen.append(z))
    assert not seen[0].requires_grad
