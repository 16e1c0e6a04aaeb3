"""`controlnet upscale`: a larger picture that carries its settings."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import load_controlnet
from controlnet.cli._again import rows
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.sampling import Control
from controlnet.sampling import upscale as enlarge
from tests.cli.sampling_place import made, place, refused

__all__ = ["made", "place"]  # fixtures


@pytest.fixture(autouse=True)
def small(place: Path) -> None:
    with Image.open("photo.png") as photo:
        photo.crop((20, 8, 60, 40)).save("small.png")


def upscale(*options: str) -> int:
    return main(["upscale", "small.png", "a red cube", "--base", "base", "--steps", "2", *options])


def test_a_larger_picture_with_its_map_and_settings(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--control", "net.safetensors=small.png,weight=.5", "--annotate", "canny", "--overlap", "8")
    assert upscale(*options, "--seed", "5", "--strength", ".5", "--out", "large.png") == 0
    assert capsys.readouterr().out.splitlines() == ["large.map.png", "large.png", "seed 5"]
    with Image.open("small.png") as small:
        edges = annotate("canny", np.asarray(small.resize((80, 64), Image.Resampling.NEAREST)))
    with Image.open("large.map.png") as image:
        assert image.size == (80, 64) and np.asarray(image).any() == edges.any()
        edges = np.asarray(image)
    base = load_base("base")
    control = Control(load_controlnet("net.safetensors", base), edges, weight=0.5)
    wanted = enlarge(base, "a red cube", "small.png", [control], strength=0.5, overlap=8, seed=5, steps=2)
    with Image.open("large.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
        assert "Size: 80x64" in image.info["parameters"] and "Seed: 5," in image.info["parameters"]
        assert json.loads(image.info["upscale"])["scale"] == 2.0
    found = dict(rows(Path("large.png")))
    assert found["made by"] == "controlnet upscale" and '"overlap": 8' in found["tiles"]
    assert "note" not in found
    says = refused(place, capsys, lambda: main(["sample", "--from", "large.png"]))
    assert "made by `controlnet upscale`, which --from does not repeat" in says


def test_what_every_task_takes(place: Path) -> None:
    options = ("--guidance-rescale", ".7", "--prediction-type", "v_prediction", "--seed", "5")
    assert upscale(*options, "--overlap", "8", "--out", "large.png") == 0
    base = load_base("base", prediction_type="v_prediction")
    wanted = enlarge(base, "a red cube", "small.png", overlap=8, seed=5, steps=2, guidance_rescale=0.7)
    with Image.open("large.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))
        assert "CFG rescale: 0.7" in image.info["parameters"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--out", "small.png"], "choose another --out"),
        (["--out", "large.jpg"], "wanted a .png"),
        (["--tile", "33"], "multiples of 8"),
        (["--upscaler", "nearest"], "lanczos"),
        (["--scale", "100000"], "pixels a side"),
        (["--control", "net.safetensors=no.png"], "no picture at no.png"),
        (["--annotate", "canny"], "1 --annotate for 0 --control"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert says in refused(place, capsys, lambda: upscale(*options))
