"""The studies that come with the project: each can be followed, and one arm of each runs two steps."""

from pathlib import Path

import pytest

from controlnet.checkpoints.shipped import shipped
from controlnet.evaluation.choice import rehearse
from controlnet.studies.study import Study
from controlnet.training import train

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "plans/studies").glob("*.yaml"))
SMALL = (
    *("steps=2", "device=cpu", "optim.batch=2", "save.every=1", "data.count=6", "data.held_out=2"),
    *("watch.gain_samples=2", "watch.gain_every=1", "watch.samples=2", "watch.sample_steps=2"),
    *("watch.adherence_every=2", "watch.page=false"),
)


def test_there_are_studies() -> None:
    wanted = {"identity", "sudden", "circles", "zero", "lite", "hints", "dropout", "data", "phases"}
    assert wanted | {"several", "transfer", "guidance"} <= {path.stem for path in STUDIES}


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_arm_can_be_followed(path: Path) -> None:
    study = Study.load(path)
    assert study.name == path.stem and path.read_text().startswith(f"# controlnet study {path.stem}")
    assert "section" in study.claim and len(study.seeds) == 3
    for arm in study.arms:
        measure = study.measure_of(arm)
        assert set(study.arms[arm].nets) <= set(shipped())
        for metric in measure.metrics:
            rehearse(metric, 64)
    plans = [study.plan_of(arm) for arm in study.arms if study.trains(arm)]
    apart = {(plan.to_yaml(), study.arms[arm].base) for plan, arm in zip(plans, study.arms, strict=False)}
    assert len(apart) == len(plans)  # no two arms are the same


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_two_steps(path: Path, base_folder: Path, tmp_path: Path) -> None:
    study = Study.load(path)
    trained = [arm for arm in study.arms if study.trains(arm)]
    if not trained:
        pytest.skip("nothing is trained")
    arm = trained[min(1, len(trained) - 1)]
    result = train(study.plan_of(arm, 1, [*SMALL, f"base={base_folder}", f"out={tmp_path}"]))
    assert result.steps == 2 and result.gain is not None
