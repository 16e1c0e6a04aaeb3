"""TrainingPlan: YAML in, unknown keys refused by the near ones, bounds, typed overrides."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from controlnet.errors import PlanError
from controlnet.training.plan import TrainingPlan, keys

SMALL: dict[str, Any] = {"name": "x", "data": {"source": "circles", "count": 10}, "steps": 3}


def test_defaults_are_those_of_paper_and_published_trainer() -> None:
    plan = TrainingPlan.of(SMALL)
    assert plan.objective.prompt_dropout == 0.5
    assert plan.objective.timesteps == "uniform"
    assert (plan.optim.lr, plan.optim.batch, plan.optim.multiplier) == (1e-5, 4, 1.0)
    assert plan.ema.decay is None and plan.precision == "fp32"
    assert (plan.control.hint, plan.control.init, plan.control.extent, plan.control.connect) == (
        "published",
        "zero",
        "full",
        "all",
    )


def test_yaml_comes_back_as_it_went(tmp_path: Path) -> None:
    plan = TrainingPlan.of(SMALL, ["optim.lr=3e-7", "control.copy=lite", "data.condition=canny(low=5)"])
    (tmp_path / "plan.yaml").write_text(plan.to_yaml())
    assert TrainingPlan.load(tmp_path / "plan.yaml") == plan


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("optim.lr=1e-5", ("optim", "lr"), 1e-5),  # which YAML 1.1 alone would read as a text
        ("optim.betas=[0.8, 0.9]", ("optim", "betas"), (0.8, 0.9)),
        ("ema.decay=null", ("ema", "decay"), None),
        ("data.flip=true", ("data", "flip"), True),
        ("control.copy=lite", ("control", "extent"), "lite"),
        ('out="7"', ("out",), "7"),
        ("data.condition=canny(low=1, high=2)", ("data", "condition"), "canny(low=1, high=2)"),
    ],
)
def test_overrides_are_typed(override: str, key: tuple[str, ...], value: object) -> None:
    found: Any = TrainingPlan.of(SMALL, [override])
    for part in key:
        found = getattr(found, part)
    assert found == value and type(found) is type(value)


def test_the_last_override_wins() -> None:
    assert TrainingPlan.of(SMALL, ["steps=5", "steps=6"]).steps == 6


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("optim.lrr=1", "did you mean optim.lr"),
        ("lr=1", "did you mean optim.lr?"),
        ("stepps=1", "did you mean steps"),
        ("optim.lr=-1", "greater than 0"),
        ("optim.lr=fast", "optim.lr='fast'"),
        ("objective.prompt_dropout=1.5", "less than or equal to 1"),
        ("control.hint=publisht", "'published', 'paper', 'unshuffle', 'centred' or 'vae'"),
        ("data.size=65", "multiple of 8"),
        ("optim.betas=[0.9, 1.0]", "such as [0.9, 0.999]"),
        ("data.source=photos", "count is only for shapes and circles"),
        ("data.count=null", "count is missing"),
        ("data.buckets=64", "buckets and loss_mask are for folders"),
        ("data.loss_mask=true", "buckets and loss_mask are for folders"),
        ("objective.gamma=0", "greater than 0"),
        ("objective.weighting=snr", "'none' or 'min_snr'"),
        ("seed=-1", "greater than or equal to 0"),
        ("name=a/b", "name"),
        ("steps", "write it as key=value"),
        ("steps=[1", "cannot read the value"),
        ("optim=3", "optim"),
    ],
)
def test_what_cannot_be_meant_is_refused(override: str, told: str) -> None:
    with pytest.raises(PlanError) as refused:
        TrainingPlan.of(SMALL, [override])
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_size_that_is_no_multiple_of_its_buckets_is_refused() -> None:
    values = {"name": "x", "data": {"source": "photos", "size": 520, "buckets": 64}, "steps": 3}
    with pytest.raises(PlanError, match="wanted a size that is a multiple of it"):
        TrainingPlan.of(values)
    assert TrainingPlan.of(values, ["data.size=512"]).data.buckets == 64


def test_all_unknown_keys_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("name: x\nstepz: 3\ndata: {source: circles, coutn: 4}\n")
    with pytest.raises(
        PlanError, match=r"plan\.yaml: .*'stepz'; did you mean steps.*did you mean data\.count"
    ):
        TrainingPlan.load(path)


@pytest.mark.parametrize(
    ("text", "told"), [("- 1", "holds list"), ("a: [", "is not YAML"), (None, "cannot read")]
)
def test_files_that_are_no_plans(tmp_path: Path, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(PlanError, match=told):
        TrainingPlan.load(tmp_path / "plan.yaml")


def test_plans_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        TrainingPlan.of(SMALL).steps = 4


def test_every_key_can_be_overridden_and_no_two_are_alike() -> None:
    values = TrainingPlan.of(SMALL).values()
    leaves = [key for key in keys() if not isinstance(values.get(key), dict)]
    assert len(set(keys())) == len(keys()) and "control.copy" in leaves and "control.extent" not in leaves
    for key in leaves:
        found: Any = values
        for part in key.split("."):
            found = found[part]
        assert found is None or isinstance(found, str | int | float | bool | list)


def test_a_plan_is_refused_without_waiting_for_torch() -> None:
    code = "import sys, controlnet.training.plan; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
