"""Each shipped plan runs two steps on a smaller network of the same family, and on fewer and smaller data."""

import json
from pathlib import Path

import pytest
import torch

from controlnet.checkpoints import load_controlnet
from controlnet.data import DatasetWriter
from controlnet.data.circles import draw
from controlnet.training import TrainingPlan, train
from controlnet.training.sections import GENERATORS
from tests.helpers import tiny_base

PLANS = sorted((Path(__file__).parents[2] / "plans").glob("*.yaml"))
SMALL = (
    # A CPU's bfloat16 convolutions now and then give NaN gradients on maps of one pixel (torch 2.13).
    *("steps=2", "device=cpu", "precision=fp32", "optim.batch=2", "optim.accumulation=2", "save.every=1"),
    *("data.size=32", "data.held_out=2", "watch.gain_samples=2", "watch.gain_every=1", "watch.samples=2"),
    *("watch.sample_steps=2", "watch.preview_every=2", "watch.adherence_every=2"),
)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    with DatasetWriter(path) as writer:
        for index in range(6):
            source, target, caption = draw(0, index, size=40)
            writer.add(target, source, caption, {"generator": "circles", "label_map": True})
    return path


def test_there_are_plans() -> None:
    assert {"demo", "circles", "sd15_canny"} <= {path.stem for path in PLANS}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_header_says_command_hardware_and_expectation(path: Path) -> None:
    header = path.read_text().split("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for wanted in ("\n#   controlnet ", "\n# Hardware ", "\n# Expectation "):
        assert wanted in header
    assert TrainingPlan.load(path).name == path.stem


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_two_steps(path: Path, base: Path, folder: Path, tmp_path: Path) -> None:
    data = (
        ["data.count=6"] if TrainingPlan.load(path).data.source in GENERATORS else [f"data.source={folder}"]
    )
    plan = TrainingPlan.load(path, [*SMALL, *data, f"base={base}", f"out={tmp_path}"])
    result = train(plan)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2] and result.gain is not None
    assert (result.adherence is not None) == (plan.watch.adherence is not None)
    net = load_controlnet(result.weights)
    assert net.settings.hint == plan.control.hint
    assert all(p.isfinite().all() for p in net.parameters())
    assert any(p.any() for p in net.zeros.parameters())
