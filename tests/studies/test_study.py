"""What a study may say, and what is refused."""

from pathlib import Path

import pytest

from controlnet.errors import PlanError
from controlnet.studies.study import Study
from tests.studies.conftest import MakeStudy

LITE = {"full": [], "lite": ["control.copy=lite"]}


def test_an_arm_changes_the_plan_under_each_seed(make_study: MakeStudy) -> None:
    study = make_study(LITE, set=["steps=3"])
    full, lite = study.plan_of("full", 4), study.plan_of("lite", 5, ["steps=2"])
    assert (full.control.extent, full.steps, full.seed) == ("full", 3, 4)
    assert (lite.control.extent, lite.steps, lite.seed) == ("lite", 2, 5)


def test_an_arm_may_be_measured_otherwise(make_study: MakeStudy) -> None:
    study = make_study({"one": [], "other": {"measure": {"mode": "control", "law": "paper"}}})
    assert (study.measure_of("one").law, study.measure_of("other").law) == (None, "paper")
    assert study.measure_of("other").count == study.measure_of("one").count == 2


@pytest.mark.parametrize(
    ("arms", "others", "said"),
    [
        ({"one": ["optim.lrr=1"]}, {}, "arm 'one' of the study 'lite'.*did you mean optim.lr"),
        ({"one": {"sett": []}}, {}, "did you mean set"),
        ({"one": {"measure": {"promts": []}}}, {}, "did you mean prompts"),
        ({"one": {"nets": ["canny"], "set": ["steps=1"]}}, {}, "set and nets"),
        ({}, {}, "arms"),
        ({"one": []}, {"sedes": [1]}, "did you mean seeds"),
        ({"one": []}, {"name": "a b"}, "name"),
        ({"one": []}, {"plan": "none.yaml"}, "cannot read the plan"),
        ({"one": []}, {"set": ["save.every=2"], "measure": {"at": [1]}}, "does not keep"),
        ({"one": []}, {"set": ["save.keep=1"], "measure": {"at": [1, "end"]}}, "does not keep"),
    ],
)
def test_refused(make_study: MakeStudy, arms: object, others: dict[str, object], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        make_study(arms, **others)


@pytest.mark.parametrize("text", ["[1, 2]", "{", None])
def test_no_study(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "study.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(PlanError, match="study"):
        Study.load(path)
