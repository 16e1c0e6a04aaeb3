"""Each shipped plan runs two steps on a smaller network of the same family, and on fewer and smaller data."""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.checkpoints import load_controlnet
from controlnet.data import DatasetWriter
from controlnet.data.circles import draw
from controlnet.training import TrainingPlan, train
from controlnet.training.phases import Until
from controlnet.training.sections import GENERATORS
from tests.backbones.conftest import write
from tests.helpers import tiny_base

PLANS = sorted((Path(__file__).parents[2] / "plans").glob("*.yaml"))
SMALL = (
    # A CPU's bfloat16 convolutions now and then give NaN gradients on maps of one pixel (torch 2.13).
    *("steps=2", "device=cpu", "precision=fp32", "optim.batch=2", "optim.accumulation=2", "save.every=1"),
    *("data.size=32", "data.held_out=2", "watch.gain_samples=2", "watch.gain_every=1", "watch.samples=2"),
    *("watch.sample_steps=2", "watch.preview_every=2", "watch.adherence_every=2"),
)


# Where a name begins so, the base is of that family, and what it predicts that family's.
FAMILIES = {"sd21": ("sd2", "v_prediction"), "sdxl": ("sdxl", "epsilon")}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function from a plan's name to a small base of the family that the plan is for."""
    torch.set_num_threads(1)

    @cache
    def make(family: str) -> Path:
        folder = tmp_path_factory.mktemp("base")
        if family not in FAMILIES:
            return tiny_base(folder)
        variant, prediction_type = FAMILIES[family]
        return write(folder / "base", variant, prediction_type=prediction_type)

    return lambda name: make(name.partition("_")[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data")
    with DatasetWriter(path) as writer:
        for index in range(6):
            source, target, caption = draw(0, index, size=40)
            writer.add(target, source, caption, {"generator": "circles", "label_map": True})
    return path


def test_there_are_plans() -> None:
    wanted = {
        "demo",
        "circles",
        "shapes_phases",
        "sd15_canny",
        "sd15_canny_large",
        "sd21_canny",
        "sdxl_canny",
    }
    assert wanted <= {path.stem for path in PLANS}


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_the_header_says_command_hardware_and_expectation(path: Path) -> None:
    header = path.read_text().split("\nname:")[0]
    assert all(line.startswith("#") for line in header.splitlines())
    for wanted in ("\n#   controlnet ", "\n# Hardware ", "\n# Expectation "):
        assert wanted in header
    assert TrainingPlan.load(path).name == path.stem


def at_once(plan: TrainingPlan) -> TrainingPlan:
    """Return a plan with its last two phases only, the first of them ending after the first step."""
    if len(plan.phases) < 2:
        return plan
    *_, first, last = plan.phases
    return plan.model_copy(update={"phases": (first.model_copy(update={"until": Until(step=1)}), last)})


def test_the_small_bases_are_of_the_plans_families(bases: Callable[[str], Path]) -> None:
    sd21, sdxl = (load_base(bases(name)) for name in ("sd21_canny", "sdxl_canny"))
    assert (sd21.prediction_type, sdxl.prediction_type) == ("v_prediction", "epsilon")
    assert (len(sd21.text_encoders), len(sdxl.text_encoders)) == (1, 2)


@pytest.mark.parametrize("path", PLANS, ids=lambda path: path.stem)
def test_two_steps(path: Path, bases: Callable[[str], Path], folder: Path, tmp_path: Path) -> None:
    data = (
        ["data.count=6"] if TrainingPlan.load(path).data.source in GENERATORS else [f"data.source={folder}"]
    )
    plan = TrainingPlan.load(path, [*SMALL, *data, f"base={bases(path.stem)}", f"out={tmp_path}"])
    plan = at_once(plan)
    result = train(plan)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2] and result.gain is not None
    turns = [line["phase"] for line in lines if line.get("event") == "another phase"]
    assert turns == list(range(2, len(plan.stages) + 1))
    assert (tmp_path / "decoder.safetensors").exists() == (plan.stages[-1].unlock == "decoder")
    assert (result.adherence is not None) == (plan.watch.adherence is not None)
    net = load_controlnet(result.weights)
    assert net.settings.hint == plan.control.hint
    assert all(p.isfinite().all() for p in net.parameters())
    assert any(p.any() for p in net.zeros.parameters())
