"""Adherence: scored sample by sample, against the base's own, whichever way is better."""

import json
from typing import Any

import pytest
import torch

from controlnet.data import Batch
from controlnet.evaluation.metric import Metric
from controlnet.training import adherence, train
from controlnet.training.adherence import AdherenceMeter
from tests.training.conftest import MakePlan


class Brightness(Metric):
    """Mean of a picture; NaN where the caption says so."""

    title = unit = "brightness"
    higher_is_better = True

    def __init__(self) -> None:
        self.value = 0.0

    def update(self, picture: Any, condition: Any, caption: str, truth: Any = None) -> None:
        assert picture.shape == condition.shape == truth.shape == (8, 8, 3)
        self.value = float("nan") if caption == "nothing" else float(picture.mean() / 255)

    def compute(self) -> dict[str, float]:
        return {"brightness": self.value, "another": -1.0}

    @property
    def count(self) -> int:
        return 1


class Darkness(Brightness):
    higher_is_better = False


class Sampler:
    """Pictures of the base alone: all of brightness 0.2."""

    def __init__(self, captions: list[str]) -> None:
        count, self.draws = len(captions), 0
        self.examples = Batch(
            torch.zeros(count, 3, 8, 8), torch.zeros(count, 3, 8, 8), captions, list(range(count))
        )

    def draw(self, net: None) -> torch.Tensor:
        self.draws += 1
        return torch.full_like(self.examples.pixels, 0.2 * 2 - 1)


@pytest.fixture(params=[Brightness, Darkness])
def meter(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, AdherenceMeter, Sampler]:
    monkeypatch.setattr(adherence, "get", lambda family, spec: request.param())
    sampler = Sampler(["a", "b", "c", "nothing"])
    made: Any = sampler
    return request.param, AdherenceMeter("x", made), sampler


def test_the_improvement_is_over_the_bases_own_samples(meter: tuple[Any, AdherenceMeter, Sampler]) -> None:
    kind, measures, sampler = meter
    levels = torch.tensor([0.4, 0.6, 0.8, 1.0]).view(4, 1, 1, 1)
    found = measures.measure(levels.expand(4, 3, 8, 8) * 2 - 1)
    assert found is not None
    sign = 1 if kind is Brightness else -1
    assert found.score == pytest.approx(0.6) and found.of_base == pytest.approx(0.2)
    assert found.improvement == pytest.approx(sign * 0.4)
    assert found.error == pytest.approx(0.2 / 3**0.5)
    measures.measure(levels.expand(4, 3, 8, 8))
    assert sampler.draws == 1


def test_of_a_single_score_there_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adherence, "get", lambda family, spec: Brightness())
    made: Any = Sampler(["a", "nothing", "nothing"])
    assert AdherenceMeter("x", made).measure(torch.zeros(3, 3, 8, 8)) is None


@pytest.mark.parametrize("spec", ["edge_f1(low=50, high=100)", "attributes"])
def test_a_run_takes_any_metric_by_its_name(make_plan: MakePlan, spec: str) -> None:
    """Of the registry: no metric is known to the trainer, nor which condition it belongs to."""
    told = json.dumps(spec)
    data = ("data.source=shapes", "data.condition=shapes_depth", "data.size=32", "data.held_out=4")
    watch = ("watch.adherence_every=1", "watch.samples=2", "watch.sample_steps=1", f"watch.adherence={told}")
    run = train(make_plan("steps=1", *data, *watch))
    line = json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[0])
    assert {"adherence", "adherence_of_base", "adherence_gain", "adherence_error"} <= line.keys()
