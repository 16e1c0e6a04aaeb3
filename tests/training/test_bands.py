"""Loss by band of timesteps: sorted rightly, and nothing but a part of the loss."""

import json

import pytest
import torch

from controlnet.training import train
from controlnet.training.bands import NAMES, Pass, mean_and_bands
from tests.training.conftest import MakePlan


def test_samples_go_to_the_band_of_their_timestep() -> None:
    passes = [
        Pass(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0, 249, 250])),
        Pass(torch.tensor([6.0, 8.0]), torch.tensor([999, 499])),
    ]
    loss, bands = mean_and_bands(passes, 1000)
    assert loss == pytest.approx(4.0)
    assert bands == pytest.approx({"loss_band_1": 1.5, "loss_band_2": 5.5, "loss_band_4": 6.0})


@pytest.mark.parametrize("timesteps", [4, 7, 1000])
def test_every_timestep_has_a_band_and_every_band_timesteps(timesteps: int) -> None:
    every = torch.arange(timesteps)
    _, bands = mean_and_bands([Pass(every.float(), every)], timesteps)
    assert tuple(bands) == NAMES and list(bands.values()) == sorted(bands.values())


def test_a_run_records_them(make_plan: MakePlan) -> None:
    run = train(make_plan("steps=4", "watch.gain_every=0", "optim.batch=8", "optim.accumulation=1"))
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        found = [line[name] for name in NAMES if name in line]
        assert found and min(found) * 0.999 <= line["loss"] <= max(found) * 1.001
    assert {name for line in lines for name in line if name in NAMES} == set(NAMES)
