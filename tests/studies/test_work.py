"""What is computed, in which order, and that nothing is computed twice."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from controlnet.core.controlnet import ControlNet
from controlnet.errors import PlanError, TrainingDiverged
from controlnet.studies import asking, work
from controlnet.studies.outcome import Outcome
from controlnet.studies.places import Places
from controlnet.studies.study import Study
from controlnet.studies.table import table
from controlnet.studies.work import Work, pieces
from controlnet.training import Event, TrainingPlan
from tests.studies.conftest import MakeStudy

LITE = {"full": [], "lite": ["control.copy=lite"]}


class Counted:
    """Counts the runs and the evaluations that are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.trained: list[str] = []
        self.measured: list[str] = []
        train, evaluate = work.train, asking.evaluate_request

        def counted_train(plan: TrainingPlan, **others: Any) -> Any:
            self.trained.append(plan.control.extent)
            return train(plan, **others)

        def counted_evaluate(request: Any, bar: Any) -> Any:
            self.measured.append(request.title)
            return evaluate(request, bar)

        monkeypatch.setattr(work, "train", counted_train)
        monkeypatch.setattr(asking, "evaluate_request", counted_evaluate)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def done(work: Work, *studies: Study) -> list[str]:
    return [str(piece) for piece in work.run(studies)]


def test_all_arms_come_under_the_first_seed_before_any_under_the_second(make_study: MakeStudy) -> None:
    one, other = make_study(LITE, seeds=[0, 1]), make_study({"a": []}, name="other", seeds=[5, 6])
    order = [(piece.study.name, piece.arm, piece.seed) for piece in pieces([one, other])]
    assert order[:3] == [("lite", "full", 0), ("lite", "lite", 0), ("other", "a", 5)]
    assert order[3:] == [("lite", "full", 1), ("lite", "lite", 1), ("other", "a", 6)]


def test_studies_share_what_is_the_same_and_nothing_is_made_twice(
    make_study: MakeStudy, tmp_path: Path, counted: Counted
) -> None:
    lite = make_study(LITE)
    other = make_study({"as it is": [], "faster": ["optim.lr=2e-3"]}, name="other")
    working = Work(Places(tmp_path / "out"))
    assert len(done(working, lite, other)) == 4
    assert counted.trained == ["full", "lite", "full"]
    assert counted.measured == ["Beside canny", "lite: full", "lite: lite", "other: faster"]
    done(working, lite, other)
    assert len(counted.trained) == 3 and len(counted.measured) == 4
    [full, _], [as_it_is, _] = (Outcome.of(study, working).arms for study in (lite, other))
    assert full.measured == as_it_is.measured and full.measured


class Killed(Exception):
    """As a kill leaves it: whatever is on the disk is all there is."""


def of_arms(outcome: Outcome) -> list[Mapping[str, Any]]:
    return [{**arm.record(), "seconds": None} for arm in outcome.arms]


def test_a_study_that_was_killed_goes_on_to_the_same_results(
    make_study: MakeStudy, tmp_path: Path, counted: Counted
) -> None:
    study, undisturbed = make_study(LITE, set=["steps=3"]), Work(Places(tmp_path / "undisturbed"))
    done(undisturbed, study)

    def kill(event: Event) -> None:
        if event.kind == "step" and event.step == 3 and len(counted.trained) == 4:
            raise Killed

    killed = Work(Places(tmp_path / "killed"), on_event=kill)
    with pytest.raises(Killed):
        done(killed, study)
    assert [arm.seeds for arm in Outcome.of(study, killed).arms] == [[0], []]
    elsewhere = study.model_copy(update={"measure": study.measure.model_copy(update={"count": 1})})
    assert [arm.seeds for arm in Outcome.of(elsewhere, killed).arms] == [[], []]  # run, and not yet measured
    again: list[int] = []

    def begins(event: Event) -> None:
        if event.kind == "begin":
            again.append(event.step)

    resumed = Work(Places(tmp_path / "killed"), on_event=begins)
    done(resumed, study)
    assert again == [2]
    assert of_arms(Outcome.of(study, resumed)) == of_arms(Outcome.of(study, undisturbed))


def test_a_part_of_the_seeds_can_be_told(make_study: MakeStudy, tmp_path: Path) -> None:
    study, working = make_study({"a": []}, seeds=[0, 1]), Work(Places(tmp_path / "out"))
    next(working.run([study]))
    text = table(Outcome.of(study, working))
    assert "| a | 1 of 2 |" in text and "±" not in text
    done(working, study)
    assert "| a | 2 |" in table(Outcome.of(study, working)) and "±" in table(Outcome.of(study, working))


def test_a_run_that_diverges_is_told_and_not_tried_again(
    make_study: MakeStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, working, tried = make_study(LITE), Work(Places(tmp_path / "out")), list[str]()
    train = work.train

    def blows_up(plan: TrainingPlan, on_event: Any = None, **others: Any) -> Any:
        tried.append(plan.control.extent)
        if plan.control.extent == "full":
            return train(plan, **others)

        def stop(event: Event) -> None:
            if event.kind == "step":
                raise TrainingDiverged("the loss blows up since step 1")

        return train(plan, on_event=stop, **others)

    monkeypatch.setattr(work, "train", blows_up)
    for _ in range(2):
        assert len(done(working, study)) == 2
    assert tried == ["full", "lite"]
    assert "| lite | 1 | diverged (1) | diverged (1) |" in table(Outcome.of(study, working))


def test_at_the_first_step_the_distance_is_nothing_and_not_nearly_nothing(
    make_study: MakeStudy, tmp_path: Path
) -> None:
    measure = {"at": [0], "distance": True}
    study = make_study({"zero": [], "gaussian": ["control.init=gaussian"]}, measure=measure)
    working = Work(Places(tmp_path / "out"))
    done(working, study)
    zero, gaussian = Outcome.of(study, working).arms
    assert zero.values(0, "perfect", "distance").each == [0.0]
    assert gaussian.values(0, "perfect", "distance").mean > 0.01
    assert (
        zero.values(0, "perfect", "edge_f1").mean == zero.of_beside("prompt only", "perfect", "edge_f1").mean
    )
    assert not (tmp_path / "out/runs").exists()  # nothing has to be trained for it


def test_measured_at_steps_of_the_run(make_study: MakeStudy, tmp_path: Path) -> None:
    study, working = make_study({"a": []}, measure={"at": [0, 1, "end"]}), Work(Places(tmp_path / "out"))
    done(working, study)
    text = table(Outcome.of(study, working))
    assert all(f"| a, step {step} |" in text for step in (0, 1, 2))
    with pytest.raises(PlanError, match="does not keep"):
        done(Work(Places(tmp_path / "out"), changes=["save.every=2"]), study)


def test_an_arm_whose_base_is_not_given_is_left_out(
    make_study: MakeStudy, tmp_path: Path, base_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arms = {"own": [], "brought": {"base": "other"}, "there": ["base=other"]}
    study = make_study(arms, bases={"other": "made by hand"})
    alone = Work(Places(tmp_path / "out"))
    assert done(alone, study) == ["lite: own, seed 0"] and "made by hand" in caplog.text
    outcome = Outcome.of(study, alone)
    assert outcome.left_out == ["brought", "there"] and [arm.name for arm in outcome.arms] == ["own"]
    given = Work(Places(tmp_path / "out"), bases={"other": str(base_folder)})
    assert len(done(given, study)) == 3


def test_ready_controls_differ_by_their_noise(
    make_study: MakeStudy, tmp_path: Path, base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from controlnet.backbones import load_base
    from controlnet.checkpoints import save_controlnet

    net = tmp_path / "mine.safetensors"
    save_controlnet(
        ControlNet.from_base(load_base(base_folder)), net, metadata={"plan": {"data": {"condition": "canny"}}}
    )
    study = make_study({"mine": {"nets": [str(net)], "base": str(base_folder)}}, seeds=[0, 1])
    working = Work(Places(tmp_path / "out"))
    done(working, study)
    [arm] = Outcome.of(study, working).arms
    one, other = arm.values("end", "perfect", "edge_f1").each
    assert one != other and not (tmp_path / "out/runs").exists()
    assert arm.of_beside("prompt only", "perfect", "edge_f1").each == [one, other]
