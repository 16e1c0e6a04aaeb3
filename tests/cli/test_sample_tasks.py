"""`controlnet sample` beyond text to picture: growing, soft edges, a second pass, holes, parts of bases."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import load_controlnet
from controlnet.cli._job import read_sides
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.errors import SettingError
from controlnet.sampling import Control, extended, generate, hires, inpaint_hint
from controlnet.sampling.infotext import read_infotext
from controlnet.sampling.repaint import inpaint
from tests.cli.sampling_place import made, opened, place, refused, sample

__all__ = ["made", "place"]  # fixtures

NET = "net.safetensors"


@pytest.fixture(autouse=True)
def masked(place: Path) -> None:
    """A mask, and a photo of a size that the base cannot make."""
    mask = np.zeros((64, 128), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save("mask.png")
    opened("photo.png").crop((20, 0, 90, 50)).save("odd.png")
    Image.fromarray(mask[:50, 20:90]).save("odd_mask.png")


def pixels(path: str) -> np.ndarray:
    return np.asarray(opened(path))


def same_again(path: str) -> None:
    assert main(["sample", "--from", path, "--out", "again.png"]) == 0
    assert np.array_equal(pixels(path), pixels("again.png"))
    first, second = (opened(name).info["parameters"] for name in (path, "again.png"))
    assert first == second


def test_growing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--image", "odd.png", "--outpaint", "left=10,bottom=6", "--feather", "4", "--seed", "3")
    assert sample(*options, "--out", "wide.png") == 0
    canvas, mask = extended("odd.png", left=10, bottom=6)
    (wanted,) = inpaint(load_base("base"), "a red cube", canvas, mask, feather=4, steps=2, seed=3)
    assert wanted.size == (80, 56)
    assert np.array_equal(pixels("wide.png"), np.asarray(wanted))
    told = opened("wide.png").info
    assert "Size: 80x56" in told["parameters"]
    assert "Mask blur: 4, Outpaint: left=10 bottom=6" in told["parameters"]
    assert json.loads(told["controlnet"])["outpaint"] == {"left": 10, "bottom": 6}
    same_again("wide.png")
    assert "is not what it was" not in capsys.readouterr().err


def test_a_masked_picture_of_any_size_keeps_its_pixels(place: Path) -> None:
    options = ("--image", "odd.png", "--mask", "odd_mask.png", "--seed", "3")
    assert sample(*options, "--out", "a.png") == 0
    assert np.array_equal(pixels("a.png")[:, 12:], pixels("odd.png")[:, 12:])
    assert sample(*options, "--feather", "4", "--out", "b.png") == 0
    assert np.array_equal(pixels("b.png")[:, 16:], pixels("odd.png")[:, 16:])
    assert not np.array_equal(pixels("a.png")[:, 12:16], pixels("b.png")[:, 12:16])
    same_again("b.png")
    assert sample(*options, "--width", "64", "--height", "64", "--out", "c.png") == 0
    assert opened("c.png").size == (64, 64)


def test_a_second_pass(place: Path) -> None:
    options = ("--control", f"{NET}=photo.png", "--annotate", "canny", "--width", "64", "--height", "64")
    second = ("--hires", "2", "--hires-strength", ".5", "--upscaler", "bicubic", "--count", "2")
    assert sample(*options, *second, "--seed", "3", "--out", "a.png") == 0
    base, net = load_base("base"), load_controlnet(NET, load_base("base"))
    maps = [
        annotate("canny", opened("photo.png").resize(size, resample))
        for size, resample in (((64, 64), Image.Resampling.BOX), ((128, 128), Image.Resampling.BICUBIC))
    ]
    made = hires(
        base, "a red cube", [Control(net, maps[0])], [Control(net, opened("a.map.png"))],
        width=64, height=64, strength=0.5, upscaler="bicubic", steps=2, seed=3, count=2,
    )  # fmt: skip
    for number, wanted in enumerate(made, start=1):
        assert np.array_equal(pixels(f"a-{number}.png"), np.asarray(wanted))
    assert opened("a.map.png").size == (128, 128) and np.asarray(maps[1]).any()
    told = opened("a-2.png").info["parameters"]
    assert "Size: 64x64" in told
    assert "Denoising strength: 0.5, Hires upscale: 2.0, Hires upscaler: Bicubic" in told
    assert read_infotext(told).settings.items() >= {
        ("hires", 2.0), ("hires_strength", 0.5), ("upscaler", "bicubic")
    }  # fmt: skip
    same_again("a-2.png")


def test_several_prompts_in_two_passes(place: Path) -> None:
    Path("prompts.txt").write_text("a red cube\na blue cone\n")
    options = ["--base", "base", "--steps", "1", "--guidance", "1", "--hires", "2", "--seed", "5"]
    assert main(["sample", "--prompts", "prompts.txt", *options, "--out", "p.png"]) == 0
    assert opened("p-2.png").size == (64, 64)
    assert json.loads(opened("p-2.png").info["controlnet"])["seed"] == 6
    same_again("p-2.png")


def test_a_control_for_inpainting_sees_the_holes(place: Path) -> None:
    options = ("--image", "photo.png", "--mask", "mask.png", "--annotate", "inpaint", "--seed", "3")
    assert sample(*options, "--control", f"{NET}=photo.png", "--out", "a.png") == 0
    holed = pixels("a.map.png")
    assert not holed[:, :32].any() and holed[:, 32:].all()
    base = load_base("base")
    control = Control(load_controlnet(NET, base), inpaint_hint(holed))
    (wanted,) = inpaint(base, "a red cube", "photo.png", "mask.png", [control], steps=2, seed=3)
    assert np.array_equal(pixels("a.png"), np.asarray(wanted))
    same_again("a.png")
    Path("photo.png").rename("elsewhere.png")
    again = ["sample", "--from", "a.png", "--image", "elsewhere.png", "--out", "b.png"]
    assert main(again) == 0
    assert np.array_equal(pixels("a.png"), pixels("b.png"))


def test_such_a_control_grows_along_and_another_does_not(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--image", "photo.png", "--outpaint", "top=32", "--control", f"{NET}=photo.png")
    assert sample(*options, "--annotate", "inpaint", "--out", "a.png") == 0
    assert opened("a.png").size == opened("a.map.png").size == (128, 96)
    assert not pixels("a.map.png")[:32].any() and pixels("a.map.png")[32:].all()
    same_again("a.png")
    capsys.readouterr()
    assert "of the grown picture, 128x96" in refused(place, capsys, lambda: sample(*options))


def test_parts_of_the_base_from_elsewhere(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ("--vae", "base/vae", "--text-encoder", "base/text_encoder", "--prediction-type", "v_prediction")
    assert sample("--seed", "3", "--out", "plain.png") == 0
    assert sample(*parts, "--seed", "3", "--out", "a.png") == 0
    assert not np.array_equal(pixels("a.png"), pixels("plain.png"))
    base = load_base("base", prediction_type="v_prediction")
    (wanted,) = generate(base, "a red cube", steps=2, seed=3)
    assert np.array_equal(pixels("a.png"), np.asarray(wanted))
    told = json.loads(opened("a.png").info["controlnet"])
    assert told["vae"] == {"path": "base/vae"} and told["prediction_type"] == "v_prediction"
    assert told["text_encoders"] == [{"path": "base/text_encoder"}]
    same_again("a.png")
    assert sample("--text-encoder", "own", "--seed", "3", "--out", "own.png") == 0
    assert np.array_equal(pixels("own.png"), pixels("plain.png"))
    same_again("own.png")
    assert "wanted it for a file" in refused(place, capsys, lambda: sample("--ema"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--outpaint", "64"], "--outpaint without --image"),
        (["--mask", "mask.png"], "--mask without --image"),
        (["--image", "photo.png", "--outpaint", "left=a"], "left=64,right=64"),
        (["--image", "photo.png", "--outpaint", "left=0"], "at least one side"),
        (["--image", "photo.png", "--outpaint", "8", "--mask", "mask.png"], "wanted one of them"),
        (["--image", "photo.png", "--outpaint", "8", "--width", "64"], "tell the size"),
        (["--image", "photo.png", "--strength", ".5", "--feather", "8"], "without --mask"),
        (["--image", "photo.png", "--strength", ".5", "--hires", "2"], "--hires with --image"),
        (["--hires", "1"], "more than 1"),
        (["--upscaler", "bicubic"], "without --hires"),
        (["--hires", "2", "--upscaler", "bicubc"], "did you mean bicubic"),
        (["--prediction-type", "velocity"], "v_prediction"),
        (["--vae", "no.safetensors"], "no.safetensors"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert says in refused(place, capsys, lambda: sample(*options))


def test_sides() -> None:
    assert read_sides(" 8") == {"left": 8, "top": 8, "right": 8, "bottom": 8}
    assert read_sides("right=3, left = 2") == {"left": 2, "right": 3}
    for text in ("left", "left=-1", "left=1,left=2", "up=3", "1,2,3,4"):
        with pytest.raises(SettingError, match="left=64,right=64"):
            read_sides(text)
