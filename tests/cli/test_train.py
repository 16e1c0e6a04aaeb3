"""`controlnet train`: what it prints, its exit status, stop and resume."""

import os
import signal
from pathlib import Path

import pytest
import torch
import yaml

from controlnet.cli.app import main
from controlnet.training.log import JsonLines
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def plan(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make plan.yaml in an empty folder and make that the current one."""
    monkeypatch.chdir(tmp_path)
    values = {
        "name": "small",
        "base": str(base),
        "control": {"hint": "unshuffle"},
        "data": {"source": "circles", "count": 8, "held_out": 2},
        "optim": {"batch": 2},
        "watch": {"gain_every": 2, "gain_samples": 2, "preview_every": 0},
        "steps": 3,
        "device": "cpu",
    }
    Path("plan.yaml").write_text(yaml.safe_dump(values))
    return "plan.yaml"


def test_a_plan_is_trained_and_summed_up(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", plan, "--set", "steps=2", "--set", "optim.lr=1e-4"]) == 0
    told = capsys.readouterr()
    assert "runs/small/controlnet.safetensors: 2 steps" in told.out
    assert "control gain" in told.out and "has not arrived" in told.out
    assert "step 2 of 2: held-out loss" in told.err
    saved = yaml.safe_load(Path("runs/small/plan.yaml").read_text())
    assert (saved["steps"], saved["optim"]["lr"]) == (2, 1e-4)


@pytest.mark.parametrize("folder", ["elsewhere", "7", "a: b"])
def test_out_is_a_path_whatever_yaml_would_make_of_it(plan: str, folder: str) -> None:
    assert main(["--quiet", "train", plan, "--set", "steps=1", "--out", folder]) == 0
    assert Path(folder, "controlnet.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "nowhere.yaml"], "cannot read the plan nowhere.yaml"),
        (["train", "plan.yaml", "--set", "optim.lrr=1"], "did you mean optim.lr"),
        (["train", "plan.yaml", "--set", "base=nowhere"], "nowhere"),
        (
            ["train", "plan.yaml", "--set", "data.source=nowhere", "--set", "data.count=null"],
            "no folder here",
        ),
        (["train"], "train --help"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    plan: str, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error


def test_stopped_resumed_and_refused(plan: str, capsys: pytest.CaptureFixture[str]) -> None:
    write = JsonLines.write

    def stopping(self: JsonLines, record: dict[str, object]) -> None:
        write(self, record)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JsonLines, "write", stopping)
        assert main(["train", plan]) == 1
    told = capsys.readouterr().err
    assert "stopped by SIGTERM after step 1 of 3" in told
    assert "controlnet train runs/small/plan.yaml --resume" in told
    assert main(["train", plan]) == 2
    assert "holds a run that has come to step 1" in capsys.readouterr().err
    assert main(["train", "runs/small/plan.yaml", "--resume"]) == 0
    assert "3 steps" in capsys.readouterr().out


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--resume" in told and "controlnet train plans/demo.yaml" in told and "Exit status" in told
