"""`controlnet sample --from`: the same picture again, what has changed told by name, the web UI's."""

import json
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.cli._again import rows
from controlnet.cli._png import USER_COMMENT, read_texts
from controlnet.cli.app import main
from controlnet.sampling import prepacked
from tests.cli.sampling_place import made, opened, place, sample

__all__ = ["made", "place"]  # fixtures

A1111 = """a castle, (stone:1.2), on a hill
under clouds
Negative prompt: blurry, grey
Steps: 3, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 6.5, Seed: 77, Size: 64x32, \
Model hash: 6ce0161689, Model: v1-5, Clip skip: 1, Denoising strength: 0.6, Hires upscale: 2, \
Hires upscaler: R-ESRGAN 4x+, Hires steps: 5, \
ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8, Resize Mode: \
Crop and Resize, Guidance Start: 0, Guidance End: 0.9, Control Mode: ControlMode.PROMPT", Version: v1.10.1"""


def same(a: str, b: str) -> bool:
    return np.array_equal(np.asarray(opened(a)), np.asarray(opened(b)))


def again(*options: str) -> int:
    return main(["sample", *options])


def told(path: str) -> dict[str, object]:
    return json.loads(opened(path).info["controlnet"])


@pytest.fixture
def pictured(place: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A picture under a map that was made on the fly, with settings other than the defaults."""
    control = "net.safetensors=photo.png,weight=0:1|0.8:0.3,end=.9,mode=control"
    settings = ("--negative", "grey", "--guidance", "4", "--guidance-rescale", "0.5", "--sampler", "euler a")
    assert (
        sample("--control", control, "--annotate", "canny", *settings, "--seed", "5", "--out", "a.png") == 0
    )
    capsys.readouterr()
    return place


def test_the_same_picture_comes_out(pictured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert again("--from", "a.png") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == ["a-again.map.png", "a-again.png", "seed 5"]
    assert "a.png was made" not in captured.err
    assert same("a.png", "a-again.png")
    assert same("a.map.png", "a-again.map.png")
    first, second = told("a.png"), told("a-again.png")
    assert second.pop("controls")[0].pop("map") != first.pop("controls")[0].pop("map")  # type: ignore[index]
    assert first == second


def test_what_speed_and_tiles_changed_comes_out_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain = ("--control", "net.safetensors=edges.png", "--steps", "4", "--seed", "5")
    assert sample(*plain, "--out", "b.png") == 0
    assert sample(*plain, "--reuse", "deep:2", "--vae-tile", "64", "--offload", "--out", "a.png") == 0
    assert "--offload has no effect" in capsys.readouterr().err
    assert "Reuse: deep:2, VAE tile: 64" in opened("a.png").info["parameters"]
    assert again("--from", "a.png") == 0
    assert same("a.png", "a-again.png") and not same("a.png", "b.png")


def test_packed_weights_make_the_same_picture_but_for_rounding(place: Path) -> None:
    plain = ("--control", "net.safetensors=edges.png", "--steps", "4", "--seed", "5")
    assert sample(*plain, "--out", "b.png") == 0
    with patch("controlnet.sampling.prepacked", wraps=prepacked) as packing:
        assert sample(*plain, "--prepack", "--out", "a.png") == 0
    assert packing.call_count == 1 and len(packing.call_args.args) == 2
    one, other = (np.asarray(opened(name), np.int16) for name in ("a.png", "b.png"))
    assert np.abs(one - other).max() <= 1


def test_it_comes_out_from_another_folder(pictured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (pictured / "elsewhere").mkdir()
    monkeypatch.chdir(pictured / "elsewhere")
    assert again("--from", "../a.png", "--base", "../base", "--out", "b.png") == 0
    assert same("../a.png", "b.png")


def test_options_override(pictured: Path) -> None:
    assert again("--from", "a.png", "--seed", "6", "--steps", "3", "--out", "b.png") == 0
    assert (told("b.png")["seed"], told("b.png")["steps"]) == (6, 3)
    assert {key: told("b.png")[key] for key in ("prompt", "sampler", "guidance_scale")} == {
        "prompt": "a red cube", "sampler": "euler a", "guidance_scale": 4.0,
    }  # fmt: skip
    assert (
        again("a blue cone", "--from", "a.png", "--control", "net.safetensors=edges.png", "--out", "c.png")
        == 0
    )
    (found,) = told("c.png")["controls"]  # type: ignore[misc]
    assert (found["image"]["path"], found.get("annotator")) == ("edges.png", None)
    assert told("c.png")["prompt"] == "a blue cone"


def test_a_map_is_made_anew_for_another_size(pictured: Path) -> None:
    assert again("--from", "a.png", "--width", "64", "--height", "64", "--out", "b.png") == 0
    assert opened("b.map.png").size == opened("b.png").size == (64, 64)


def test_what_has_changed_is_told_by_name(pictured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened("photo.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("photo.png")
    assert again("--from", "a.png", "--out", "b.png") == 0
    assert "photo.png is not what it was when a.png was made" in capsys.readouterr().err
    assert same("a.png", "b.png")  # its map of then serves
    opened("a.map.png").transpose(Image.Transpose.FLIP_LEFT_RIGHT).save("a.map.png")
    assert again("--from", "a.png", "--out", "c.png") == 0
    assert "a.map.png has changed: the map is made anew" in capsys.readouterr().err
    assert not same("a.png", "c.png")


def test_a_map_outlives_its_photo(pictured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("photo.png").unlink()
    assert again("--from", "a.png", "--out", "b.png") == 0
    assert "photo.png is gone" in capsys.readouterr().err
    assert same("a.png", "b.png")
    Path("a.map.png").unlink()
    assert again("--from", "a.png", "--out", "c.png") == 2
    assert "no picture at photo.png" in capsys.readouterr().err


def test_grids_and_prompts_from_a_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("prompts.txt").write_text("# two\na red cube\n\na blue cone, à côté\n")
    options = ("--base", "base", "--steps", "1", "--seed", "3", "--guidance", "1")
    assert again("--prompts", "prompts.txt", "--count", "2", *options, "--out", "p.png") == 0
    assert capsys.readouterr().out.splitlines() == [*(f"p-{n}.png" for n in range(1, 5)), "seeds 3 to 6"]
    assert [(told(f"p-{n}.png")["prompt"], told(f"p-{n}.png")["seed"]) for n in (2, 3)] == [
        ("a red cube", 4), ("a blue cone, à côté", 5),
    ]  # fmt: skip
    assert again("--prompts", "prompts.txt", "--count", "2", "--grid", *options, "--out", "g.png") == 0
    assert again("--from", "g.png") == 0
    assert same("g.png", "g-again.png")
    assert again("--from", "p-3.png") == 0
    assert same("p-3.png", "p-3-again.png")


def test_the_result_never_replaces_what_is_read(pictured: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path("a.png").read_bytes()
    assert again("--from", "a.png", "--out", "a.png") == 2
    assert "choose another --out" in capsys.readouterr().err
    assert Path("a.png").read_bytes() == before


def test_a_preview_is_written(place: Path) -> None:
    assert sample("--preview", "now.jpg", "--out", "a.png") == 0
    assert opened("now.jpg").size == opened("a.png").size


def test_settings_of_the_web_ui_are_followed_and_the_rest_is_told(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    info = PngInfo()
    info.add_itxt("parameters", A1111)
    Image.new("RGB", (64, 32)).save("w.png", pnginfo=info)
    assert (
        again("--from", "w.png", "--base", "base", "--width", "64", "--height", "64", "--out", "x.png") == 0
    )
    assert told("x.png") == told("x.png") | {
        "prompt": "a castle, (stone:1.2), on a hill\nunder clouds", "negative_prompt": "blurry, grey",
        "steps": 3, "sampler": "dpm++2m karras", "guidance_scale": 6.5, "seed": 77, "width": 64, "height": 64,
        "clip_skip": 1, "hires": 2.0, "hires_strength": 0.6,
    }  # fmt: skip
    error = capsys.readouterr().err
    assert "--control NET=IMAGE,weight=0.8,start=0,end=0.9,mode=prompt --annotate canny" in error
    for left in (
        "control_v11p_sd15_canny",
        "v1-5, 6ce0161689",
        "by R-ESRGAN 4x+: lanczos",
        "Hires steps 5",
        "noise",
    ):
        assert left in error


def test_settings_in_a_jpeg(tmp_path: Path) -> None:
    for order in ("be", "le"):
        exif = Image.Exif()
        exif.get_ifd(0x8769)[USER_COMMENT] = b"UNICODE\0" + A1111.encode(f"utf-16-{order}")
        Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg", exif=exif)
        assert read_texts(tmp_path / "a.jpg")["parameters"] == A1111


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "tells no settings"), ('{"prompt": 1', "damaged"), ('{"a": 1}', "tells no settings"),
     ('{"prompt": "x", "seed": 1, "sted": 2}', "did you mean seed")],
)  # fmt: skip
def test_pictures_without_settings_are_refused(
    place: Path, capsys: pytest.CaptureFixture[str], text: str | None, says: str
) -> None:
    info = PngInfo()
    info.add_text(*(("workflow", "{}") if text is None else ("controlnet", text)))
    Image.new("RGB", (8, 8)).save("n.png", pnginfo=info)
    assert again("--from", "n.png") == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_settings_as_a_table(pictured: Path) -> None:
    found = dict(rows(Path("a.png")))
    assert found["prompt"] == "a red cube"
    assert found["sampler"] == "euler a"
    assert "photo.png" in found["controls"]
    assert "weight 0.0:1.0|0.8:0.3" in found["controls"]
