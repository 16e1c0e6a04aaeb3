"""The study of nine conditions: every arm takes two steps of a plan and is measured as suits it."""

from pathlib import Path

import pytest

from controlnet.checkpoints import describe
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.choice import adherence
from controlnet.registry import parse
from controlnet.studies.study import Study
from controlnet.training import train
from tests.evaluation.test_nine import NINE
from tests.helpers import tiny_base
from tests.plans.test_plans import PLANS, SMALL

STUDY = Study.load(PLANS[0].parent / "studies" / "conditions.yaml")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


def test_the_arms_are_the_nine_and_differ_in_nothing_else() -> None:
    plans = [STUDY.plan_of(arm) for arm in STUDY.arms]
    assert {plan.data.condition for plan in plans} == NINE.keys() and len(plans) == len(NINE)
    assert len({plan.name for plan in plans}) == len(NINE)  # a run's folder tells its condition
    assert len({plan.override(["name=one", "data.condition=canny"]).to_yaml() for plan in plans}) == 1


@pytest.mark.parametrize("arm", STUDY.arms)
def test_two_steps(arm: str, base: Path, tmp_path: Path) -> None:
    small = [*SMALL, "data.count=6", f"base={base}", f"out={tmp_path / 'run'}"]
    result = train(STUDY.plan_of(arm, 0, small))
    condition = describe(result.weights)["metadata"]["plan"]["data"]["condition"]
    assert parse(adherence(Cases("shapes", condition, 64, 1).spec))[0] == NINE[condition][0]
