"""SIGKILL at any moment, resume, and nothing can be told apart: weights bit for bit, metrics.jsonl byte
for byte.

The runs are killed in children forked from this process, so that they need not import anything anew.
"""

import os
import shutil
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from controlnet.training import TrainingPlan, state, train, workshop
from controlnet.training.log import JsonLines

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

Blow = Callable[[], None]
"""What a child does to itself before it trains."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(target: Any, name: str, when: Callable[[Any], bool] = lambda first: True) -> Blow:
    """Die instead of calling a function whose first argument is such."""

    def arm() -> None:
        original = getattr(target, name)
        setattr(target, name, lambda *given, **named: die() if when(given[0]) else original(*given, **named))

    return arm


def after_record(step: int) -> Blow:
    def arm() -> None:
        original = JsonLines.write

        def write(self: JsonLines, record: Mapping[str, Any]) -> None:
            original(self, record)
            if record["step"] == step and "loss" in record:
                die()

        JsonLines.write = write

    return arm


def within_record(step: int) -> Blow:
    def arm() -> None:
        original = JsonLines.write

        def write(self: JsonLines, record: Mapping[str, Any]) -> None:
            if record["step"] == step:
                self._file.write(f'{{"step": {step}, "loss": 0.')
                self._file.flush()
                die()
            original(self, record)

        JsonLines.write = write

    return arm


def named(name: str) -> Callable[[Path], bool]:
    return lambda path: path.name == name


# In this order, each resumed from what the one before has left; states are due at 2, 4, 6 and 7, two are
# kept.
BLOWS: dict[str, Blow] = {
    "before the first state": after_record(1),
    "save 2: optimizer not yet written": before(workshop, "save_optimizer"),
    "save 2: all written but the list": before(Path, "write_text", named("state.json")),
    "save 2: whole, not yet in its place": before(Path, "rename", named("step-000002.part")),
    "between two states": after_record(3),
    "while a record is written": within_record(4),
    "save 4: not yet on the disk": before(state, "_to_disk", named("optimizer.safetensors")),
    "save 6: in its place, the old one still there": before(state, "_discard", named("step-000002")),
    "save 7: the old one half removed": before(shutil, "rmtree", named("step-000004.old")),
    "after the last step": before(workshop.Workshop, "save_weights"),
}


def status_of_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(7)
    return os.waitpid(child, 0)[1]


@pytest.fixture(scope="module")
def unbroken(values: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unbroken")
    train(TrainingPlan.of(values, [f"out={folder}"]))
    return folder


def assert_alike(run: Path, other: Path) -> None:
    assert (run / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    names = ["controlnet.safetensors"]
    names += [f"state/step-000007/{name}.safetensors" for name in ("controlnet", "ema", "optimizer")]
    for name in names:
        mine, its = load_file(run / name), load_file(other / name)
        assert mine.keys() == its.keys() and len(mine) > 40
        assert all(mine[key].numpy().tobytes() == its[key].numpy().tobytes() for key in mine), name
    for folder in (run, other):
        assert sorted(p.name for p in (folder / "state").iterdir()) == ["step-000006", "step-000007"]


def test_killed_at_every_kind_of_moment_and_resumed_is_as_never_killed(
    unbroken: Path, values: Mapping[str, Any], tmp_path: Path
) -> None:
    plan = TrainingPlan.of(values, [f"out={tmp_path}"])
    for moment, arm in BLOWS.items():
        status = status_of_child(lambda arm=arm: (arm(), train(plan, resume=True)))
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
        assert not (tmp_path / "controlnet.safetensors").exists(), moment
    train(plan, resume=True)
    assert_alike(tmp_path, unbroken)


def test_the_comparison_sees_another_seed(unbroken: Path, values: Mapping[str, Any], tmp_path: Path) -> None:
    train(TrainingPlan.of(values, [f"out={tmp_path}", "seed=1"]))
    with pytest.raises(AssertionError):
        assert_alike(tmp_path, unbroken)
