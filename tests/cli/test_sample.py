"""`controlnet sample`: pictures that carry their settings, maps made on the fly, mistakes in one line."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from controlnet.backbones import load_base
from controlnet.checkpoints import add_decoder, load_controlnet, save_controlnet
from controlnet.checkpoints.decoder import save_decoder
from controlnet.cli._controls import ControlText, read_control
from controlnet.cli._png import grid, save_png
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.conditions._image import to_array
from controlnet.core.origin import fingerprint
from controlnet.errors import SettingError, UnknownName
from controlnet.sampling import Control, generate
from controlnet.sampling.digest import Digests
from tests.backbones.original import original, write_file, write_folder
from tests.cli.sampling_place import made, opened, place, pngs, refused, sample

__all__ = ["made", "place"]  # fixtures


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
    (control,) = told["controls"]
    assert control.pop("net") == {"path": "net.safetensors", "hash": fingerprint(net)}
    assert control.pop("image") == {"path": "edges.png", "hash": Digests().of(to_array("edges.png"))}
    assert control == {"weight": 0.8, "end": 0.9, "mode": "prompt"}
    assert picture.info["parameters"].startswith(
        "a red cube\nNegative prompt: grey\nSteps: 2, Sampler: DPM++ 2M,"
    )


def test_a_decoder_beside_the_controlnet_comes_along(place: Path) -> None:
    base = load_base("base")
    net = load_controlnet("net.safetensors", base)
    shifted = {name: value + 0.05 for name, value in base.backbone.decoder(base.network).items()}
    (place / "run").mkdir()
    made = save_decoder("run/decoder.safetensors", shifted, net.origin, {})
    net.origin = replace(net.origin, decoder=made)
    save_controlnet(net, "run/controlnet.safetensors")
    for source, out in (("net.safetensors", "a.png"), ("run", "b.png")):
        assert sample("--control", f"{source}=edges.png", "--seed", "5", "--out", out) == 0
    add_decoder(base, "run/decoder.safetensors")
    (wanted,) = generate(base, "a red cube", [Control(net, "edges.png")], steps=2, seed=5)
    assert np.array_equal(np.asarray(opened("b.png")), np.asarray(wanted))
    assert not np.array_equal(np.asarray(opened("a.png")), np.asarray(wanted))


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
    assert opened("g.png").size == (3 * 32 + 2 * 2, 32)
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
        (["--control", "net.safetensors=edges.png,weight=0:1|.6:x"], "no keyframe"),
        (["--control", "net.safetensors=edges.png,rule=webby"], "did you mean webui"),
        (["--control", "net.safetensors=edges.png,taps=midle:0"], "did you mean middle"),
        (["--guidance-rescale", "2"], "--guidance-rescale"),
        (["--lora", "no.safetensors:1"], "no.safetensors"),
        (["--lora", "no.safetensors:x"], "no number"),
        (["--embedding", "no.pt"], "no.pt"),
        (["--preview", "a.gif"], "wanted a .png"),
        (["--prompts", "no.txt"], "a prompt, or --prompts"),
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
        (["--reuse", "depp:2"], "did you mean deep"),
        (["--reuse", "deep:1"], "deep:K"),
        (["--vae-tile", "100"], "multiple of 32"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert says in refused(place, capsys, lambda: sample(*options))


def test_a_control_without_effect_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("--control", "net.safetensors=edges.png,weight=0", "--out", "h.png") == 0
    assert "no effect: its weight is 0" in capsys.readouterr().err


def test_a_word_that_no_prompt_has_is_told_of_in_any_case(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_file({"emb_params": torch.ones(1, 16)}, "gem.safetensors")
    options = ("--embedding", "gem.safetensors:<Red>", "--seed", "3")
    assert sample(*options, "--out", "a.png") == 0
    assert "'<Red>' of gem.safetensors is in no prompt" in capsys.readouterr().err
    assert sample(*options, "--negative", "a <red> one", "--out", "b.png") == 0
    assert "in no prompt" not in capsys.readouterr().err
    assert not np.array_equal(np.asarray(opened("a.png")), np.asarray(opened("b.png")))


@pytest.mark.parametrize(
    ("text", "control"),
    [
        ("canny=a.png", ControlText("canny", Path("a.png"))),
        ("a/b.safetensors=x,y.png", ControlText("a/b.safetensors", Path("x,y.png"))),
        ("n=a.png, weight = 0.5 ,end=1e-1", ControlText("n", Path("a.png"), weight="0.5", end=0.1)),
        ("n=a.png,weight=0:1|0.6:0.2|ease", ControlText("n", Path("a.png"), weight="0:1|0.6:0.2|ease")),
        ("n=a.png,rule=webui,taps=middle:2", ControlText("n", Path("a.png"), rule="webui", taps="middle:2")),
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
    ("count", "columns", "rows"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 2, 2), (6, 3, 2), (7, 4, 2), (9, 3, 3)],
)
def test_grid(count: int, columns: int, rows: int) -> None:
    pictures = [Image.new("RGB", (96, 96), (number, 0, 0)) for number in range(1, count + 1)]
    sheet = grid(pictures)
    assert sheet.size == (columns * 98 - 2, rows * 98 - 2)
    for number in range(count):
        assert sheet.getpixel((number % columns * 98, number // columns * 98)) == (number + 1, 0, 0)
    assert grid(pictures, columns=count).size == (count * 98 - 2, 96)


def test_a_base_in_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = write_folder(tmp_path / "folder", "sd1")
    write_file(tmp_path / "model.safetensors", original(parts, "sd1"))
    for base in ("model.safetensors", "folder"):
        size = ["--width", "64", "--height", "64", "--steps", "1", "--seed", "5"]
        assert main(["sample", "a cat", "--base", base, "--out", f"{base}.png", *size]) == 0
    pictures = [np.asarray(opened(f"{base}.png"), int) for base in ("model.safetensors", "folder")]
    # A mapped file's weights lie at other addresses, by which sums are rounded otherwise.
    assert abs(pictures[0] - pictures[1]).max() <= 1 and pictures[0].std() > 5
