"""Two processes train what one does: the same examples and draws, each its half, up to rounding.

Under DDP, where both keep everything, and under FSDP2, where each keeps its part of ControlNet and optimizer.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from controlnet.errors import TrainingStopped
from controlnet.training import TrainingPlan, train
from controlnet.training.workshop import Workshop
from tests.training.conftest import MakePlan
from tests.training.processes import alike, together

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

KEYS = ("steps=4", "save.every=2", "save.keep=4")
SHARDED = pytest.mark.parametrize("sharded", [False, True], ids=["ddp", "fsdp2"])
SHARDED_SLOWLY = pytest.mark.parametrize(
    "sharded", [pytest.param(False, id="ddp"), pytest.param(True, id="fsdp2", marks=pytest.mark.slow)]
)


def lines(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def drift(one: Path, other: Path) -> float:
    mine, its = load_file(one), load_file(other)
    assert mine.keys() == its.keys() and len(mine) > 40
    return max((mine[key] - its[key]).abs().max().item() for key in mine)


def assert_as_one(alone: Path, both: Path) -> None:
    for mine, its in zip(lines(alone), lines(both), strict=True):
        assert mine.keys() == its.keys()
        assert all(its[key] == pytest.approx(mine[key], rel=1e-3, abs=1e-6) for key in mine)
    for name in ("controlnet", "ema", "optimizer"):
        file = f"state/step-000004/{name}.safetensors"
        assert 0 < drift(alone / file, both / file) < 1e-4  # rounding, and not the same run twice
    assert drift(alone / "controlnet.safetensors", both / "controlnet.safetensors") < 1e-4


@pytest.fixture(scope="module")
def alone(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone")
    train(TrainingPlan.of(values, [*KEYS, f"out={folder}"]))
    return folder


@SHARDED_SLOWLY
def test_two_processes_are_as_one(make_plan: MakePlan, alone: Path, sharded: bool) -> None:
    plan = make_plan(*KEYS, f"engine.shard={sharded}", out="both")
    assert together(*alike(lambda: train(plan))) == [0, 0]
    assert_as_one(alone, plan.folder)


@SHARDED_SLOWLY
def test_resumed_by_as_many_it_is_exact_and_by_another_number_right(
    make_plan: MakePlan, alone: Path, sharded: bool
) -> None:
    shard = f"engine.shard={sharded}"
    whole, parts = (make_plan(*KEYS, shard, out=name) for name in ("whole", "parts"))
    half = make_plan(*KEYS, shard, "steps=2", out="parts")
    assert together(*alike(lambda: train(whole))) == [0, 0]
    assert together(*alike(lambda: train(half))) == [0, 0]
    fewer = make_plan(*KEYS, shard, out="fewer")
    shutil.copytree(parts.folder, fewer.folder)
    assert together(*alike(lambda: train(parts, resume=True))) == [0, 0]
    for name in ("controlnet", "ema", "optimizer"):
        file = f"state/step-000004/{name}.safetensors"
        assert drift(whole.folder / file, parts.folder / file) == 0
    went, goes = ([line["loss"] for line in lines(plan.folder) if "loss" in line] for plan in (whole, parts))
    assert went == goes

    train(fewer, resume=True)
    file = "state/step-000004/controlnet.safetensors"
    assert drift(alone / file, fewer.folder / file) < 1e-4


@SHARDED
def test_a_signal_to_one_ends_both_with_the_state_saved_once(make_plan: MakePlan, sharded: bool) -> None:
    plan = make_plan("steps=6", "save.every=100", "watch.gain_every=0", f"engine.shard={sharded}")

    def stopped() -> None:
        with pytest.raises(TrainingStopped, match="after step 2 of 6"):
            train(plan)

    def signalled() -> None:
        update = Workshop.update

        def hit(self: Workshop, step: int) -> None:
            update(self, step)
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

        Workshop.update = hit
        stopped()

    assert together(stopped, signalled) == [0, 0]
    assert [place.name for place in (plan.folder / "state").iterdir()] == ["step-000002"]
    assert [line["step"] for line in lines(plan.folder)] == [1, 2]


def test_the_parts_of_a_divided_run_are_halves_and_do_what_the_whole_does(make_plan: MakePlan) -> None:
    keys = ("steps=1", "watch.gain_every=0")
    plan = make_plan(*keys, "engine.shard=true", out="both")

    def counted() -> None:
        sizes: list[tuple[int, int]] = []
        update = Workshop.update

        def counting(self: Workshop, step: int) -> None:
            update(self, step)
            for parameter in self.net.parameters():
                local: Any = getattr(parameter, "to_local", None)
                kept: Any = self.optimizer.state[parameter]["exp_avg"]
                assert kept.to_local().shape == local().shape
                sizes.append((local().numel(), parameter.numel()))

        Workshop.update = counting
        train(plan)
        assert sum(part for part, _ in sizes) < 0.6 * sum(whole for _, whole in sizes)

    assert together(*alike(counted)) == [0, 0]
    alone = train(make_plan(*keys, out="alone"))
    assert drift(alone.weights, plan.folder / "controlnet.safetensors") < 1e-4
    moments = [
        plan.folder.parent / run / "state/step-000001/optimizer.safetensors" for run in ("alone", "both")
    ]
    assert 0 < drift(*moments) < 1e-4


@pytest.mark.slow
def test_launched_by_torchrun(make_plan: MakePlan, alone: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(make_plan(*KEYS, out="together").to_yaml())
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*launch, "-m", "controlnet", "train", str(tmp_path / "plan.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_as_one(alone, tmp_path / "together")


@pytest.mark.slow
def test_launched_by_accelerate(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(make_plan("steps=1", out="launched").to_yaml())
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes=1"]
    command = [*launch, "-m", "controlnet", "train", str(tmp_path / "plan.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert torch.isfinite(next(iter(load_file(tmp_path / "launched/controlnet.safetensors").values()))).all()
