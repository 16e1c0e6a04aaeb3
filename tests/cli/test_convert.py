"""`controlnet convert`, and `controlnet info` on what it writes."""

import json

import pytest

from controlnet.checkpoints import save_controlnet
from controlnet.cli.app import main
from tests.checkpoints.nets import trained


@pytest.fixture(scope="module")
def made():
    return trained("sd")


@pytest.fixture
def net(made, tmp_path):
    save_controlnet(made[1], tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_to_a_folder_and_to_one_file(net, tmp_path, capsys):
    assert (
        main(["convert", str(net), str(tmp_path / "folder"), "--to", "diffusers", "--precision", "fp16"]) == 0
    )
    assert "diffusers: " in capsys.readouterr().out
    assert (tmp_path / "folder" / "config.json").is_file()
    assert main(["convert", str(tmp_path / "folder"), str(tmp_path / "a.safetensors"), "--to", "cldm"]) == 0
    assert main(["info", str(tmp_path / "a.safetensors"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert told["format"] == "ldm" and told["precision"] == ["F16"] and told["trained"]


def test_with_a_base(made, net, tmp_path, capsys):
    made[0].network.save_pretrained(tmp_path / "unet")
    target = str(tmp_path / "small.safetensors")
    given = ["--to", "control_lora", "--rank", "2", "--base", str(tmp_path / "unet")]
    assert main(["convert", str(net), target, *given]) == 0
    assert "rank 2 leaves out" in capsys.readouterr().out
    assert main(["info", target]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "needs its base" in shown and "rank 2" in shown
    assert main(["convert", target, str(tmp_path / "x"), "--to", "ldm"]) == 2
    assert "--base" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "lmd"], "did you mean ldm"),
        ([], "--to"),
        (["--to", "ldm", "--precision", "int3"], "no precision is called 'int3'"),
        (["--to", "ldm", "--blend", "other"], "wanted OTHER=SHARE"),
        (["--to", "ldm", "--blend", "=0.5"], "wanted OTHER=SHARE"),
        (["--to", "difference"], "--base"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(options, message, net, tmp_path, capsys):
    assert main(["convert", str(net), str(tmp_path / "out"), *options]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error
    assert not (tmp_path / "out").exists()


def test_a_blend_and_a_transfer(made, net, tmp_path):
    made[0].network.save_pretrained(tmp_path / "unet")
    unet = str(tmp_path / "unet")
    mix = ["--to", "native", "--blend", f"{net}=0.5", "--transfer", unet, unet, "--global-pool"]
    assert main(["convert", str(net), str(tmp_path / "mix.safetensors"), *mix]) == 0
