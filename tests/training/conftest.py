"""A random base of a few kilobytes, and plans for it that take a second to run."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.training import TrainingPlan
from tests.helpers import tiny_base

MakePlan = Callable[..., TrainingPlan]


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Spare the tests the disk: a killed process loses nothing that the system has taken."""
    with patch("os.fsync"):
        yield


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)  # a forked child would wait for the threads that it has not
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def base(base_folder: Path) -> Base:
    return load_base(base_folder)


@pytest.fixture(scope="session")
def values(base_folder: Path) -> Mapping[str, Any]:
    """A plan with all that a state has to stand for: accumulation, running mean, flips, dropout."""
    return {
        "name": "tiny",
        "base": str(base_folder),
        "control": {"hint": "unshuffle"},
        "data": {"source": "circles", "count": 14, "held_out": 4, "flip": True},
        "optim": {"lr": 1e-3, "multiplier": 2, "batch": 2, "accumulation": 2, "warmup": 3},
        "ema": {"decay": 0.9},
        "watch": {"gain_every": 3, "gain_samples": 4, "adherence_every": 0, "preview_every": 0},
        "save": {"every": 2},
        "steps": 7,
        "device": "cpu",
    }


@pytest.fixture
def make_plan(values: Mapping[str, Any], tmp_path: Path) -> MakePlan:
    """Return a function (overrides …, out="run") -> plan."""

    def make(*overrides: str, out: str = "run") -> TrainingPlan:
        return TrainingPlan.of(values, [*overrides, f"out={tmp_path / out}"])

    return make
