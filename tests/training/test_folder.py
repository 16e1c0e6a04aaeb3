"""Who may begin or go on in the folder of a run."""

from pathlib import Path

import pytest

from controlnet.errors import PlanError
from controlnet.training import state
from controlnet.training.folder import enter
from controlnet.training.plan import TrainingPlan


def plan(tmp_path: Path, *overrides: str) -> TrainingPlan:
    values = {
        "name": "x",
        "data": {"source": "circles", "count": 10},
        "steps": 3,
        "out": str(tmp_path / "run"),
    }
    return TrainingPlan.of(values, overrides)


def saved(tmp_path: Path, step: int = 2) -> None:
    state.commit(tmp_path / "run" / "state", step, lambda place: {"seconds": 4.5}, keep=2)


def test_a_new_run_saves_its_plan(tmp_path: Path) -> None:
    begun = plan(tmp_path)
    opened = enter(begun, resume=False)
    assert (opened.step, opened.seconds, opened.state, opened.changes) == (0, 0.0, None, {})
    assert TrainingPlan.load(tmp_path / "run" / "plan.yaml") == begun


def test_a_folder_with_a_state_is_refused_without_resume(tmp_path: Path) -> None:
    enter(plan(tmp_path), resume=False)
    saved(tmp_path)
    with pytest.raises(PlanError, match=r"come to step 2; go on with --resume, or choose another folder"):
        enter(plan(tmp_path), resume=False)
    opened = enter(plan(tmp_path), resume=True)
    assert (opened.step, opened.seconds) == (2, 4.5)


def test_nothing_to_resume_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert enter(plan(tmp_path), resume=True).step == 0
    assert "no state to resume" in caplog.text


def test_a_run_killed_before_its_first_state_may_begin_anew(tmp_path: Path) -> None:
    enter(plan(tmp_path), resume=False)
    assert enter(plan(tmp_path, "seed=5"), resume=False).step == 0


@pytest.mark.parametrize(
    "override", ["seed=1", "data.seed=1", "optim.batch=2", "ema.decay=0.9", "control.hint=paper", "base=x"]
)
def test_what_a_state_depends_on_may_not_change(tmp_path: Path, override: str) -> None:
    enter(plan(tmp_path), resume=False)
    saved(tmp_path)
    with pytest.raises(PlanError, match=f"{override.split('=')[0]} was .* and is .*start_from"):
        enter(plan(tmp_path, override), resume=True)
    assert TrainingPlan.load(tmp_path / "run" / "plan.yaml") == plan(tmp_path)


@pytest.mark.parametrize(
    ("override", "change"),
    [
        ("steps=9", {"steps": [3, 9]}),
        ("optim.lr=2e-5", {"optim.lr": [1e-5, 2e-5]}),
        ("watch.gain_every=7", {"watch.gain_every": [50, 7]}),
        ("save.keep=3", {"save.keep": [2, 3]}),
    ],
)
def test_what_no_state_depends_on_may_and_is_recorded(
    tmp_path: Path, override: str, change: dict[str, list]
) -> None:
    enter(plan(tmp_path), resume=False)
    saved(tmp_path)
    assert enter(plan(tmp_path, override), resume=True).changes == change
    assert TrainingPlan.load(tmp_path / "run" / "plan.yaml") == plan(tmp_path, override)
