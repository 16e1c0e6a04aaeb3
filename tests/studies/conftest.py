"""A random base of a few kilobytes, a plan for it that takes a second, and studies of that plan."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import yaml

from controlnet.studies.study import Study
from tests.helpers import tiny_base

MakeStudy = Callable[..., Study]

PLAN = {
    "name": "tiny",
    "control": {"hint": "unshuffle"},
    "data": {"source": "shapes", "condition": "canny", "count": 6, "held_out": 2},
    "optim": {"lr": 1e-3, "batch": 2},
    "watch": {"gain_every": 1, "gain_samples": 2, "preview_every": 0, "page": False, "guidance_scale": 2.0},
    "save": {"every": 1, "keep": 3},
    "steps": 2,
    "device": "cpu",
}


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    with patch("os.fsync"):
        yield


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def make_study(base_folder: Path, tmp_path: Path) -> MakeStudy:
    """Return a function (arms, what else the study says …) -> study, read from its file."""
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump({**PLAN, "base": str(base_folder)}))

    def make(arms: Any, name: str = "lite", **others: Any) -> Study:
        measure = {"count": 2, "metrics": ["edge_f1"], "steps": 2, **others.pop("measure", {})}
        values = {"name": name, "title": f"Of {name}", "claim": "It is so.", "plan": "plan.yaml"}
        path = tmp_path / f"{name}.yaml"
        path.write_text(
            yaml.safe_dump(
                {**values, "arms": arms, "seeds": [0], "measure": measure, **others}, sort_keys=False
            )
        )
        return Study.load(path)

    return make
