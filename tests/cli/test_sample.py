"""`controlnet sample`: pictures that carry their settings, maps made on the fly, mistakes in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import load_controlnet, save_controlnet
from controlnet.cli._controls import ControlText, read_control
from controlnet.cli._png import grid, save_png
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.core.controlnet import ControlNet
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import Control, generate
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ and net.safetensors, a ControlNet that changes the picture."""
    folder = tmp_path_factory.mktemp("sample")
    base = load_base(tiny_base(folder / "base"))
    net = ControlNet.from_base(base)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in (*net.zeros.parameters(), *net.hint.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    save_controlnet(net, folder / "net.safetensors")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, but for links to the base and the ControlNet, a photo and a map."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "net.safetensors"):
        (tmp_path / name).symlink_to(made / name)
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[16:48, 30:90] = 255
    Image.fromarray(pixels).save("photo.png")
    annotate("canny", Image.fromarray(pixels)).save("edges.png")
    return tmp_path


def sample(*options: str) -> int:
    return main(["sample", "a red cube", "--base", "base", "--steps", "2", *options])


def opened(path: str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def pngs(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".safetensors" and path.is_file()}


def test_a_picture_under_control(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    control = "net.safetensors=edges.png,weight=.8,start=0,end=.9,mode=prompt"
    assert sample("--control", control, "--seed", "5", "--negative", "grey", "--out", "a.png") == 0
    picture = opened("a.png")
    net = load_controlnet("net.safetensors", load_base("base"))
    (wanted,) = generate(
        load_base("base"),
        "a red cube",
        [Control(net, "edges.png", 0.8, 0.0, 0.9, "prompt")],
        negative_prompt="grey",
        steps=2,
        seed=5,
    )
    assert np.array_equal(np.asarray(picture), np.asarray(wanted))
    assert capsys.readouterr().out.splitlines() == ["a.png", "seed 5"]
    told = json.loads(picture.info["controlnet"])
    assert (told["seed"], told["width"], told["height"], told["base"]) == (5, 128, 64, "base")
    assert told["controls"] == [
        {"net": "net", "image": "edges.png", "weight": 0.8, "start": 0.0, "end": 0.9, "mode": "prompt"}
        | {"annotator": None}
    ]
    assert picture.info["parameters"].startswith(
        "a red cube\nNegative prompt: grey\nSteps: 2, Sampler: DPM++ 2M,"
    )


def test_the_map_is_made_at_the_size_of_the_output_and_kept(place: Path) -> None:
    options = ("--annotate", "canny", "--width", "64", "--height", "64", "--seed", "1", "--out", "out/b.png")
    assert sample("--control", "net.safetensors=photo.png", *options) == 0
    assert pngs(place / "out") == {"b.png", "b.map.png"}
    control_map = opened("out/b.map.png")
    assert control_map.size == opened("out/b.png").size == (64, 64)
    small = opened("photo.png").resize((64, 64), Image.Resampling.BOX)
    assert np.array_equal(np.asarray(control_map), np.asarray(annotate("canny", small)))
    assert json.loads(opened("out/b.png").info["controlnet"])["controls"][0]["annotator"] == "canny"


def test_several_pictures_are_numbered_and_each_knows_its_seed(place: Path) -> None:
    assert sample("--count", "2", "--seed", "8", "--guidance", "1", "--out", "c.png") == 0
    assert {"c-1.png", "c-2.png"} <= pngs(place)
    seeds = [json.loads(opened(f"c-{number}.png").info["controlnet"])["seed"] for number in (1, 2)]
    assert seeds == [8, 9]
    assert sample("--seed", "9", "--guidance", "1", "--out", "d.png") == 0
    assert np.array_equal(np.asarray(opened("d.png")), np.asarray(opened("c-2.png")))


def test_a_grid_is_one_picture(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("--count", "3", "--grid", "--seed", "8", "--out", "g.png") == 0
    assert opened("g.png").size == (64, 64)
    assert capsys.readouterr().out.splitlines() == ["g.png", "seeds 8 to 10"]


def test_a_drawn_seed_is_told_and_written(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("--out", "e.png") == 0
    seed = int(capsys.readouterr().out.splitlines()[-1].removeprefix("seed "))
    assert json.loads(opened("e.png").info["controlnet"])["seed"] == seed


def test_from_a_picture_and_a_mask(place: Path) -> None:
    mask = np.zeros((64, 128), np.uint8)
    mask[:, :32] = 255
    Image.fromarray(mask).save("mask.png")
    options = ("--image", "photo.png", "--mask", "mask.png", "--strength", "0.8")
    assert sample(*options, "--out", "f.png") == 0
    assert np.array_equal(np.asarray(opened("f.png"))[:, 32:], np.asarray(opened("photo.png"))[:, 32:])
    assert "Denoising strength: 0.8" in opened("f.png").info["parameters"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--control", "edges.png"], "wanted NET=IMAGE"),
        (["--control", "nett=edges.png"], "no shipped ControlNet is called 'nett'"),
        (["--control", "net.safetensors=no.png"], "no picture at no.png"),
        (["--control", "net.safetensors=edges.png,wait=1"], "did you mean weight?"),
        (["--control", "net.safetensors=edges.png,weight=a"], "wanted a number"),
        (["--control", "net.safetensors=edges.png,start=.9,end=.1"], "start <= end"),
        (["--control", "net.safetensors=edges.png,mode=balance"], "did you mean balanced"),
        (["--control", "net.safetensors=edges.png", "--annotate", "cany"], "canny"),
        (["--annotate", "canny"], "1 --annotate for 0 --control"),
        (["--sampler", "dpm++2n"], "dpm++2m"),
        (["--width", "100", "--height", "64"], "multiples of 64"),
        (["--out", "a.jpg"], "wanted a .png"),
        (["--out", "photo.png", "--image", "photo.png"], "choose another --out"),
        (["--strength", "0.5"], "without an image"),
        (["--device", "abacus"], "--device abacus"),
        (["--base", "nowhere"], "nowhere"),
        (["--count", "0"], "--count"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    before = pngs(place)
    assert sample(*options) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert says in error
    assert pngs(place) == before


def test_a_control_without_effect_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("--control", "net.safetensors=edges.png,weight=0", "--out", "h.png") == 0
    assert "no effect: its weight is 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("canny=a.png", ControlText("canny", Path("a.png"))),
        ("a/b.safetensors=x,y.png", ControlText("a/b.safetensors", Path("x,y.png"))),
        ("n=a.png, weight = 0.5 ,end=1e-1", ControlText("n", Path("a.png"), weight=0.5, end=0.1)),
        ("n=a=b.png", ControlText("n", Path("a=b.png"))),
        (
            "n=a.png,mode=My prompt is more important,mask=m.png",
            ControlText("n", Path("a.png"), mode="My prompt is more important", mask=Path("m.png")),
        ),
    ],
)
def test_text_form_of_a_control(text: str, control: ControlText) -> None:
    assert read_control(text) == control


@pytest.mark.parametrize("text", ["", "=a.png", "n=", "n=,weight=1", "n=a.png,weight=1,weight=2"])
def test_text_form_refuses(text: str) -> None:
    with pytest.raises(SettingError, match="wanted NET=IMAGE"):
        read_control(text)


def test_text_form_names_unknown_settings() -> None:
    with pytest.raises(UnknownName, match="weight"):
        read_control("n=a.png,weigth=1")


def test_png_keeps_any_text(tmp_path: Path) -> None:
    texts = {"parameters": "a röd kub, 赤い", "controlnet": '{"a": 1}'}
    save_png(tmp_path / "new" / "a.png", Image.new("RGB", (2, 2)), texts)
    assert {key: opened(str(tmp_path / "new" / "a.png")).info[key] for key in texts} == texts
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("count", "size"), [(1, (4, 2)), (2, (8, 2)), (3, (8, 4)), (5, (12, 4)), (9, (12, 6))]
)
def test_grid(count: int, size: tuple[int, int]) -> None:
    pictures = [Image.new("RGB", (4, 2), (number, 0, 0)) for number in range(1, count + 1)]
    sheet = grid(pictures)
    assert sheet.size == size
    columns = size[0] // 4
    for number in range(count):
        assert sheet.getpixel((number % columns * 4, number // columns * 2)) == (number + 1, 0, 0)
