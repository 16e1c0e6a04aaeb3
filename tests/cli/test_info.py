"""`controlnet info`: a table for people, one JSON object for programs, one line for what is no checkpoint."""

import json

import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import save_controlnet
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet
from tests.backbones.original import original, write_file, write_folder


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.safetensors"
    made = ControlNet.from_base(UNet().tiny("sd").network, hint="unshuffle")
    save_controlnet(made, path, metadata={"plan": {"optim": {"lr": 1e-05}}, "note": "[bold]as it is[/bold]"})
    return path


def test_the_table_says_what_matters(net, capsys):
    assert main(["info", str(net)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for part in (
        "native",
        "no: every zero convolution",
        "unshuffle",
        "plan.optim.lr 1e-05",
        "[bold]as it is[/bold]",
    ):
        assert part in shown


def test_a_picture_tells_how_it_was_made(tmp_path, capsys):
    parameters = PngInfo()
    parameters.add_text(
        "parameters", "a red cube\nSteps: 7, Sampler: Euler a, CFG scale: 3, Seed: 5, Size: 64x64"
    )
    Image.new("RGB", (64, 64)).save(tmp_path / "made.png", pnginfo=parameters)
    Image.new("RGB", (64, 64)).save(tmp_path / "bare.png")
    assert main(["info", str(tmp_path / "made.png")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "a red cube" in shown and "euler a" in shown and "steps 7" in shown
    assert main(["info", str(tmp_path / "made.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["seed"] == "5"
    assert main(["info", str(tmp_path / "bare.png")]) == 2


def test_json_is_one_object(net, capsys):
    assert main(["info", str(net), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["hint"] == "unshuffle" and told["base"]["configuration"]["in_channels"] == 4


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path, capsys):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    assert main(["info", str(tmp_path / "x.safetensors")]) == 2
    error = capsys.readouterr().err.strip()
    assert "no whole safetensors file" in error and "\n" not in error


@pytest.fixture(scope="module")
def whole_base(tmp_path_factory):
    """The tensors of a small SD 2.x in one file, half its precision."""
    parts = write_folder(tmp_path_factory.mktemp("base") / "folder", "sd2")
    return {key: tensor.half() for key, tensor in original(parts, "sd2").items()}


def test_a_whole_base_is_told_by_its_parts(whole_base, tmp_path, capsys):
    path = write_file(tmp_path / "model.safetensors", whole_base)
    assert main(["info", str(path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["family"], told["precision"]) == ("base", "Stable Diffusion 2.x", ["F16"])
    assert "asked" in told["prediction_type"] and told["ema"] is False
    assert told["parts"].keys() == {"U-Net", "VAE", "text encoder"}
    assert told["base"]["configuration"]["cross_attention_dim"] == 32
    average = {"model_ema.decay": torch.ones(())}
    without = {key: t for key, t in whole_base.items() if not key.startswith("first_stage_model.")} | average
    assert main(["info", str(write_file(path, without))]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "VAE missing" in shown and "U-Net 1," in shown and "ema=True" in shown


def test_a_file_that_is_no_base_is_one_line(whole_base, tmp_path, capsys):
    path = write_file(tmp_path / "model.safetensors", whole_base | {"depth_model.x": torch.ones(1)})
    assert main(["info", str(path)]) == 2
    assert "part of no base that is known (depth_model.x)" in capsys.readouterr().err
