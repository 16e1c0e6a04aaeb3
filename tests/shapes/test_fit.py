"""The small training loop: it learns, and stopping changes nothing."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from controlnet.shapes.recipe.fit import Loss, Schedule, fit

SCHEDULE = Schedule(steps=12, lr=0.02, warmup=3, ema=0.9, save_every=4)


def task() -> tuple[nn.Module, Loss]:
    """Make a network and a loss with randomness in every step."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def loss(generator: torch.Generator) -> dict[str, Tensor]:
        x = torch.randn(16, 4, generator=generator)
        error = (network(x)[:, 0] - x.sum(1)).square().mean()
        return {"loss": error, "root": error.sqrt()}

    return network, loss


def test_it_learns_and_logs(tmp_path: Path) -> None:
    network, loss = task()
    before = [p.detach().clone() for p in network.parameters()]
    logged = list(fit(network, loss, Schedule(steps=150, lr=0.02, warmup=3, ema=0.9), tmp_path))
    assert logged[-1]["loss"] < 0.3 * logged[0]["loss"]
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 151))
    assert set(lines[0]) == {"step", "loss", "root", "grad_norm"}
    assert not network.training


@pytest.mark.parametrize("stop", [3, 4, 6, 11])
def test_a_stopped_run_makes_the_same_weights(tmp_path: Path, stop: int) -> None:
    whole, loss = task()
    through = list(fit(whole, loss, SCHEDULE, tmp_path / "whole"))
    stopped, loss = task()
    run = fit(stopped, loss, SCHEDULE, tmp_path / "stopped")
    for _ in range(stop):
        next(run)
    run.close()
    resumed, loss = task()
    with torch.no_grad():
        for parameter in resumed.parameters():  # a fresh network, unlike the one that was stopped
            parameter.zero_()
    if stop < SCHEDULE.save_every:
        resumed, loss = task()  # nothing was saved yet: the run begins anew
    rest = list(fit(resumed, loss, SCHEDULE, tmp_path / "stopped"))
    assert [record["loss"] for record in rest] == [r["loss"] for r in through[len(through) - len(rest) :]]
    assert len(rest) == SCHEDULE.steps - stop // SCHEDULE.save_every * SCHEDULE.save_every
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)
    logs = [(tmp_path / name / "log.jsonl").read_text() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]


def test_a_finished_run_gives_its_weights_again(tmp_path: Path) -> None:
    first, loss = task()
    list(fit(first, loss, SCHEDULE, tmp_path))
    second, loss = task()
    assert list(fit(second, loss, SCHEDULE, tmp_path)) == []
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_the_network_ends_with_averaged_weights(tmp_path: Path) -> None:
    network, loss = task()
    list(fit(network, loss, SCHEDULE, tmp_path))
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state["average"][name])
        assert not torch.equal(value, state["module"][name])


def test_the_rate_warms_up_and_falls() -> None:
    rates = [SCHEDULE.rate(step) for step in range(SCHEDULE.steps)]
    assert rates[:3] == pytest.approx([0.02 / 3, 0.04 / 3, 0.02])
    assert rates[3:] == sorted(rates[3:], reverse=True) and rates[3] == pytest.approx(0.02)
    assert SCHEDULE.rate(SCHEDULE.steps) == pytest.approx(SCHEDULE.floor * SCHEDULE.lr)


def test_the_rate_begins_anew_at_a_restart() -> None:
    once, twice = Schedule(steps=10, lr=1.0, warmup=2), Schedule(steps=20, lr=1.0, warmup=2, restarts=(10,))
    first = [once.rate(step) for step in range(10)]
    assert [twice.rate(step) for step in range(20)] == first + first
