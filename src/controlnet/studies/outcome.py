"""What has come of a study so far: for each arm the values of its seeds, as far as they are there."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from controlnet.registry import parse
from controlnet.studies.places import DIVERGED
from controlnet.studies.study import CURVES, END, Moment, Study
from controlnet.studies.work import Piece, Work
from controlnet.training.folder import RunFolder

Key = tuple[str, str]  # prompt setting, metric
Curve = list[tuple[float, float]]


@dataclass(frozen=True)
class Values:
    """A number of each seed that has it."""

    each: Sequence[float]

    @property
    def mean(self) -> float:
        """The mean; NaN of none."""
        return mean(self.each) if self.each else math.nan

    @property
    def spread(self) -> float:
        """The standard deviation over seeds, n - 1; NaN of fewer than two."""
        return stdev(self.each) if len(self.each) > 1 else math.nan


@dataclass
class ArmOutcome:
    """What has come of an arm.

    seeds: those of which anything is told. measured: by step and then by prompt setting and metric; beside:
    the same of the base by its prompt alone and of the ceiling, whose prompt is "any". curves: by name, one
    for each seed. rose, arrived: the steps at which each finished run's gain rose and control arrived, None
    where it has not. diverged: why.
    """

    name: str
    trains: bool
    adherence: str | None = None
    seeds: list[int] = field(default_factory=list[int])
    steps: int | None = None
    measured: dict[Moment, dict[Key, list[float]]] = field(default_factory=dict)
    beside: dict[str, dict[Key, list[float]]] = field(default_factory=dict)
    higher: dict[str, bool] = field(default_factory=dict)
    curves: dict[str, list[Curve]] = field(default_factory=dict)
    rose: list[int | None] = field(default_factory=list)
    arrived: list[int | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    diverged: list[str] = field(default_factory=list)

    def values(self, at: Moment, prompt: str, metric: str) -> Values:
        """Return what was measured of the arm."""
        return Values(self.measured.get(at, {}).get((prompt, metric), ()))

    def of_beside(self, subject: str, prompt: str, metric: str) -> Values:
        """Return what was measured of the base alone or of the ceiling."""
        found = self.beside.get(subject, {})
        return Values(found.get((prompt, metric)) or found.get(("any", metric), ()))

    def record(self) -> dict[str, Any]:
        """Return the arm's part of results.json."""
        told = asdict(self)
        told["measured"] = {str(at): _nested(values) for at, values in self.measured.items()}
        told["beside"] = {subject: _nested(values) for subject, values in self.beside.items()}
        return told


@dataclass(frozen=True)
class Outcome:
    """What has come of a study, and how many seeds it wants."""

    study: Study
    arms: Sequence[ArmOutcome]
    wanted: int
    left_out: Sequence[str]

    @classmethod
    def of(cls, study: Study, work: Work, seeds: Sequence[int] | None = None) -> "Outcome":
        """Read what is there."""
        wanted = seeds or study.seeds
        there = [arm for arm in study.arms if work.possible(Piece(study, arm, wanted[0]))]
        arms = [_arm(study, arm, wanted, work) for arm in there]
        return cls(study, arms, len(wanted), [arm for arm in study.arms if arm not in there])

    def record(self) -> dict[str, Any]:
        """Return the content of results.json."""
        return {
            "study": self.study.model_dump(mode="json"),
            "seeds_wanted": self.wanted,
            "left_out": list(self.left_out),
            "arms": [arm.record() for arm in self.arms],
        }


def _arm(study: Study, arm: str, seeds: Sequence[int], work: Work) -> ArmOutcome:
    found = ArmOutcome(arm, study.trains(arm))
    beside: set[Path] = set()  # one for all seeds, where the noise is that of all
    for seed in seeds:
        piece, told = Piece(study, arm, seed), False
        asked = work.asked(piece)
        if found.trains:
            plan = work.plan_of(piece)
            found.steps, folder = plan.steps, work.places.run(plan)
            lacks = any(not one.done for one in asked if one.at == END)
            if not lacks or (folder.root / DIVERGED).is_file():  # half of what is to be told would mislead
                told = _read_run(found, folder)
        for one in asked:
            found.adherence = found.adherence or parse(one.metrics[0])[0]
            if one.kind == "beside":
                if one.request.out not in beside:
                    for row in one.rows():
                        _take(row, found.beside.setdefault(row["subject"], {}))
                beside.add(one.request.out)
            else:
                for row in one.rows():
                    told = True
                    _take(row, found.measured.setdefault(one.at, {}))
            found.higher |= one.higher()
        if told:
            found.seeds.append(seed)
    return found


def _take(row: Mapping[str, Any], into: dict[Key, list[float]]) -> None:
    for name, measure in row["measures"].items():
        if measure["value"] is not None:
            into.setdefault((row["prompt"], name), []).append(measure["value"])


def _read_run(found: ArmOutcome, folder: RunFolder) -> bool:
    """Take in what a run has recorded; False where it is not over."""
    over = folder.root / DIVERGED
    if over.is_file():
        found.diverged.append(json.loads(over.read_text(encoding="utf-8"))["why"])
    elif not folder.result.is_file():
        return False
    else:
        result = json.loads(folder.result.read_text(encoding="utf-8"))
        found.rose.append(result["gain_rose_at"])
        found.arrived.append(result["arrived_at"])
        found.seconds.append(result["seconds"])
    lines = [json.loads(line) for line in folder.metrics.read_text(encoding="utf-8").splitlines()]
    for name in (*CURVES, "adherence_of_base"):
        curve = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
        found.curves.setdefault(name, []).append(curve)
    return True


def _nested(values: Mapping[Key, Sequence[float]]) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}
    for (prompt, metric), each in values.items():
        found.setdefault(prompt, {})[metric] = list(each)
    return found


def mean_curve(curves: Sequence[Curve]) -> Iterator[tuple[float, Values]]:
    """Give for each step the values of the seeds that have one."""
    for step in sorted({step for curve in curves for step, _ in curve}):
        yield step, Values([value for curve in curves for at, value in curve if at == step])
