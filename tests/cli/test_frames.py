"""`controlnet frames`: sequences under one control each or more, videos, and going on."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import load_controlnet
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.sampling import Clip, Control, generate, save_video
from tests.cli.sampling_place import made, place, refused

__all__ = ["made", "place"]  # fixtures

FRAMES = [np.roll(np.uint8(255) * (np.indices((64, 64, 3))[1] < 20), 8 * k, axis=1) for k in range(3)]


@pytest.fixture(autouse=True)
def sequences(place: Path) -> None:
    for folder, pictures in (("in", FRAMES), ("maps", [annotate("canny", frame) for frame in FRAMES])):
        Path(folder).mkdir()
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(f"{folder}/{number}.png")


def frames(*options: str) -> int:
    return main(["frames", "a red cube", "--base", "base", "--steps", "1", "--guidance", "1", *options])


def test_maps_made_from_frames_are_as_good_as_maps(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert frames("--control", "net.safetensors=in,end=1", "--annotate", "canny", "--out", "a") == 0
    assert capsys.readouterr().out.splitlines() == [
        "3 frames are in a; 0 of them were there already",
        "seed 7",
    ]
    assert frames("--control", "net.safetensors=maps", "--out", "b") == 0
    net = load_controlnet("net.safetensors", base := load_base("base")).eval()
    for number, frame in enumerate(FRAMES):
        control = Control(net, annotate("canny", frame))
        (wanted,) = generate(base, "a red cube", [control], steps=1, guidance_scale=1.0)
        for folder in "ab":
            with Image.open(f"{folder}/{number}.png") as image:
                assert np.array_equal(np.asarray(image), np.asarray(wanted))
                assert "Seed: 7," in image.info["parameters"]
    assert main(["sample", "--from", "a/0.png"]) == 2
    assert "made by `controlnet frames`" in capsys.readouterr().err
    assert frames("--control", "net.safetensors=in", "--annotate", "canny", "--out", "a") == 0
    assert "3 of them were there already" in capsys.readouterr().out


def test_a_video_that_begins_from_another(place: Path) -> None:
    save_video("clip.avi", FRAMES, rate=5)
    options = ("--control", "net.safetensors=maps", "--image", "clip.avi", "--strength", ".5")
    assert frames(*options, "--out", "out.avi", "--width", "128", "--height", "64") == 0
    clip = Clip(Path("out.avi"))
    assert (clip.rate, clip.count) == (5, 3)
    assert next(iter(clip))[1].shape == (64, 128, 3)
    assert not Path("out.avi.frames").exists()


def test_sequences_of_unlike_lengths_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("maps/2.png").unlink()
    both = ("--control", "net.safetensors=in", "--control", "net.safetensors=maps")
    assert frames(*both, "--out", "a") == 2
    assert "maps has fewer frames" in capsys.readouterr().err
    assert frames(*both[2:], *both[:2], "--out", "b") == 0
    assert "in has more frames" in capsys.readouterr().err


def test_what_every_task_takes(place: Path) -> None:
    control = Control(load_controlnet("net.safetensors", base := load_base("base")).eval(), "maps/0.png")
    options = ("--guidance", "4", "--guidance-rescale", ".7", "--prediction-type", "v_prediction")
    assert frames("--control", "net.safetensors=maps", *options, "--out", "a") == 0
    base.scheduler_config["prediction_type"] = "v_prediction"
    (wanted,) = generate(base, "a red cube", [control], steps=1, guidance_scale=4.0, guidance_rescale=0.7)
    with Image.open("a/0.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(wanted))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--out", "a"], "neither --control nor --image"),
        (["--control", "net.safetensors=no", "--out", "a"], "no folder and no video at no"),
        (["--control", "net.safetensors=in", "--out", "in"], "which is read"),
        (["--control", "net.safetensors=in", "--out", "a.gif"], ".mp4"),
        (["--image", "in", "--out", "a"], "--strength"),
        (["--control", "net.safetensors=in"], "--out"),
    ],
)
def test_mistakes_are_told_in_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], says: str
) -> None:
    assert says in refused(place, capsys, lambda: frames(*options))
