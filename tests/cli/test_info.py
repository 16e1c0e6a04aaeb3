"""`controlnet info`: a table for people, one JSON object for programs, one line for what is no checkpoint."""

import json

import pytest

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import save_controlnet
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet


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


def test_json_is_one_object(net, capsys):
    assert main(["info", str(net), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["settings"]["hint"] == "unshuffle" and told["base"]["configuration"]["in_channels"] == 4


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path, capsys):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    assert main(["info", str(tmp_path / "x.safetensors")]) == 2
    error = capsys.readouterr().err.strip()
    assert "no whole safetensors file" in error and "\n" not in error
