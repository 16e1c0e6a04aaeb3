"""The watch for divergence: no alarm by the luck of timesteps, none missed, the good state named."""

import json
from itertools import count
from typing import Any

import numpy as np
import pytest

from controlnet.errors import TrainingStopped
from controlnet.training import divergence, train, workshop
from controlnet.training.divergence import LEAST, RECENT, DivergenceWatch
from tests.training.conftest import MakePlan


def first_alarm(losses: list[float], factor: float = 5.0) -> tuple[int, int] | None:
    """Return the step of the alarm and the step that it names."""
    watch = DivergenceWatch(factor)
    for step, loss in enumerate(losses, 1):
        if (since := watch.feed(step, float(loss))) is not None:
            return step, since
    return None


def lucky(rng: np.random.Generator, steps: int) -> np.ndarray[Any, Any]:
    """Losses of a batch of one, of samples from nearly noise-free to pure noise: from 0.003 to 1."""
    return np.exp(-6 * rng.random(steps)) * np.exp(0.3 * rng.standard_normal(steps))


def test_the_luck_of_single_samples_raises_no_alarm() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        assert first_alarm(list(lucky(rng, 5000))) is None


@pytest.mark.parametrize(
    ("began", "times"), [(10, 1e4), (40, 12.0), (40, 1e4), (2000, 12.0), (2000, 1e4)]
)  # of ten samples nobody can say what twelve times as much is
def test_a_loss_that_blows_up_is_found_soon_and_where_it_began(began: int, times: float) -> None:
    for seed in range(10):
        losses = lucky(np.random.default_rng(seed), began + 200)
        losses[began:] *= times
        found = first_alarm(list(losses))
        assert found is not None
        step, since = found
        assert began < step <= max(began, LEAST) + 3 * RECENT and began - RECENT < since <= step


def test_broken_pictures_and_a_rise_that_stays_small_are_no_divergence() -> None:
    losses = lucky(np.random.default_rng(0), 3000)
    losses[[500, 505, 2000]] = 1e6
    losses[1000:] *= 1.5
    assert first_alarm(list(losses)) is None


def test_it_can_be_switched_off() -> None:
    assert first_alarm([0.1] * 50 + [1e9] * 50, factor=0) is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(divergence, "LEAST", 3)
    monkeypatch.setattr(divergence, "FEWEST", 2)


def explode(monkeypatch: pytest.MonkeyPatch, since: int) -> None:
    """Let the loss be a thousandfold from a step on, of two passes each."""
    whole, passes = workshop.control_loss, count()
    monkeypatch.setattr(
        workshop,
        "control_loss",
        lambda *given: whole(*given) * (1000.0 if next(passes) >= 2 * (since - 1) else 1.0),
    )


@pytest.mark.usefixtures("impatient")
def test_a_run_that_diverges_stops_and_resumes_from_the_last_good_state(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ("watch.gain_every=0", "save.every=1", "save.keep=9", "steps=20")
    with monkeypatch.context() as patch:
        explode(patch, since=6)
        with pytest.raises(TrainingStopped, match=r"blows up since step 6: .*state/step-000005: --resume"):
            train(make_plan(*keys))
    folder = make_plan(*keys).folder
    names = sorted(path.name for path in (folder / "state").iterdir())
    assert names[:5] == [f"step-00000{step}" for step in range(1, 6)]
    assert names[5:] and all(name.endswith(".diverged") for name in names[5:])
    assert "step-000006.diverged" in caplog.text
    result = train(make_plan(*keys, "optim.lr=1e-4"), resume=True)
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "event" not in line] == list(range(1, 21))
    assert result.loss is not None and result.loss < 100


@pytest.mark.usefixtures("impatient")
def test_a_resumed_run_stops_where_the_uninterrupted_one_does(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = ("watch.gain_every=0", "save.every=100", "steps=20")
    told: list[str] = []
    with monkeypatch.context() as patch:
        explode(patch, since=8)
        with pytest.raises(TrainingStopped) as stopped:
            train(make_plan(*keys, out="unbroken"))
    told.append(str(stopped.value).partition(";")[0])
    train(make_plan(*keys, "steps=6", out="resumed"))
    with monkeypatch.context() as patch:
        explode(patch, since=2)  # the second of those still to be taken: the eighth
        with pytest.raises(TrainingStopped) as stopped:
            train(make_plan(*keys, out="resumed"), resume=True)
    told.append(str(stopped.value).partition(";")[0])
    assert told[0] == told[1]


def test_a_gradient_that_is_no_number_is_named(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop.Workshop, "gradient_norm", lambda self: float("nan"))
    with pytest.raises(TrainingStopped, match="norm of its gradient nan"):
        train(make_plan("steps=1"))
