"""Weights & Biases: what it is sent, that it is missed in one line, and that no run ends because of it."""

import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from controlnet.errors import MissingExtra
from controlnet.training import Event, train
from controlnet.training.weights_and_biases import WeightsAndBiases
from tests.training.conftest import MakePlan

NET: Any = None


class Run:
    def __init__(self, faults: set[str]) -> None:
        self.faults, self.logged, self.summary = faults, [], {}
        self.axes: list[tuple[str, dict[str, str]]] = []
        self.finished: list[int] = []

    def define_metric(self, name: str, **named: str) -> None:
        self.axes.append((name, named))

    def log(self, values: dict[str, Any]) -> None:
        if "log" in self.faults:
            raise RuntimeError("gone\naway")
        self.logged.append(values)

    def finish(self, exit_code: int = 0) -> None:
        self.finished.append(exit_code)


class Fake(ModuleType):
    def __init__(self) -> None:
        super().__init__("wandb")
        self.faults: set[str] = set()
        self.begun: list[dict[str, Any]] = []
        self.runs: list[Run] = []

    def Image(self, path: str) -> str:
        assert Path(path).is_file()
        return f"picture {Path(path).name}"

    def init(self, **named: Any) -> Run:
        self.begun.append(named)
        if "network" in self.faults and named.get("mode") != "offline":
            raise RuntimeError("no API key\nconfigured")
        self.runs.append(Run(self.faults))
        return self.runs[-1]


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake = Fake()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return fake


KEYS = ("watch.wandb=true", "watch.preview_every=2", "watch.sample_steps=1", "watch.samples=2", "steps=4")


def test_a_run_is_sent_and_resumed_under_its_name(make_plan: MakePlan, wandb: Fake) -> None:
    result = train(make_plan(*KEYS))
    train(make_plan(*KEYS, "steps=5"), resume=True)
    first, second = wandb.runs
    assert [values["step"] for values in first.logged if "loss" in values] == [1, 2, 3, 4]
    assert {"step": 2, "preview": "picture step-000002.png"} in first.logged
    assert first.logged[2].keys() >= {"gain", "grad_norm", "loss"} or "gain" in first.logged[3]
    assert first.summary["gain"] == result.gain and first.finished == [0]
    assert ("*", {"step_metric": "step"}) in first.axes
    begun, again = wandb.begun
    assert begun["project"] == "controlnet" and begun["name"] == "tiny" and begun["config"]["steps"] == 4
    assert begun["id"] == again["id"] and begun["resume"] == "allow" and "mode" not in begun
    assert [values["step"] for values in second.logged if "loss" in values] == [5]


def test_without_login_or_network_it_stays_in_the_folder(
    make_plan: MakePlan, wandb: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    wandb.faults = {"network"}
    train(make_plan(*KEYS))
    assert [named.get("mode") for named in wandb.begun] == [None, "offline"] and wandb.runs[0].logged
    told = next(record.getMessage() for record in caplog.records if "wandb sync" in record.getMessage())
    assert "no API key configured" in told and str(make_plan().folder / "wandb") in told


def test_what_fails_there_is_told_once_and_ends_no_run(
    make_plan: MakePlan, wandb: Fake, caplog: pytest.LogCaptureFixture
) -> None:
    wandb.faults = {"log"}
    with caplog.at_level(logging.WARNING):
        assert train(make_plan(*KEYS)).steps == 4
    assert caplog.text.count("gets no more of this run (gone away)") == 1


def test_last_words_are_sent(make_plan: MakePlan, wandb: Fake) -> None:
    listener = WeightsAndBiases(make_plan())
    listener(Event("stop", 3, 4, NET, {"why": "before it began"}))
    listener(Event("begin", 0, 4, NET))
    listener(Event("stop", 3, 4, NET, {"why": "the disk is full"}))
    assert wandb.runs[0].summary == {"stopped": "the disk is full"} and wandb.runs[0].finished == [1]


def test_a_project_of_ones_own(make_plan: MakePlan, wandb: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    WeightsAndBiases(make_plan())(Event("begin", 0, 4, NET))
    assert wandb.begun[0]["project"] == "mine"


def test_it_is_missed_before_the_first_step(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra, match=r"watch\.wandb is on .*controlnet\[wandb\]"):
        train(make_plan("watch.wandb=true"))
    assert not (make_plan().folder / "metrics.jsonl").exists()
