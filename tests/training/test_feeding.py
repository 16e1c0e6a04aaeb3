"""A run on pictures of many shapes, with masks: cached or not, resumed or not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from controlnet.data import DatasetWriter
from controlnet.training import TrainingPlan, train
from controlnet.training.workshop import Workshop
from tests.training.conftest import MakePlan


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    with DatasetWriter(folder) as writer:
        for index in range(15):
            height, width = ((60, 60), (40, 90), (90, 40))[index % 3]
            picture = np.repeat(rng.integers(0, 256, (height, 1, 3), np.uint8), width, axis=1)
            writer.add(picture, picture, f"picture {index % 4}", {"index": index})
            Image.new("L", (width, height), 255 * (index % 2)).save(folder / f"{index}.png")
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    masked = [json.dumps({**line, "mask": f"{index}.png"}) + "\n" for index, line in enumerate(lines)]
    (folder / "metadata.jsonl").write_text("".join(masked))
    return folder


@pytest.fixture
def make(make_plan: MakePlan, photos: Path, tmp_path: Path) -> MakePlan:
    keys = (f"data.source={photos}", "data.count=null", "data.held_out=3", "data.size=32", "data.buckets=8")
    cache = f"data.cache_folder={tmp_path / 'cache'}"
    return lambda *more, out: make_plan(*keys, cache, "steps=4", "watch.gain_every=4", *more, out=out)


def alike(one: Path, other: Path) -> bool:
    weights = [load_file(run / "controlnet.safetensors") for run in (one, other)]
    return (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes() and all(
        torch.equal(weights[0][key], weights[1][key]) for key in weights[0]
    )


def test_buckets_cached_or_resumed_are_the_same_run(make: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    run_pass = Workshop.run_pass
    monkeypatch.setattr(
        Workshop, "run_pass", lambda self, batch, *g: sizes.append(batch.size) or run_pass(self, batch, *g)
    )
    plain = train(make("data.cache=none", out="plain")).folder
    assert len(set(sizes)) == 3 and all(h * w <= 32 * 32 for h, w in sizes)
    assert alike(plain, train(make("data.cache=disk", out="disk")).folder)
    train(make("data.cache=disk", "steps=2", "watch.gain_every=0", out="resumed"))
    # The gain is measured at the end of a run: the first half shall not have measured it.
    resumed = train(make("data.cache=disk", "watch.gain_every=4", out="resumed"), resume=True).folder
    mine, its = (load_file(run / "controlnet.safetensors") for run in (plain, resumed))
    assert all(torch.equal(mine[key], its[key]) for key in mine)


@pytest.mark.parametrize(
    "change", ["objective.weighting=min_snr", "objective.noise_offset=0.1", "data.loss_mask=true"]
)
def test_objective_options_change_the_loss(make: MakePlan, change: str) -> None:
    def losses(plan: TrainingPlan) -> list[Any]:
        text = (train(plan).folder / "metrics.jsonl").read_text()
        return [json.loads(line)["loss"] for line in text.splitlines()]

    low = "objective.gamma=1e-3"  # so low that it counts at almost every timestep
    keys = ("steps=3", "watch.gain_every=0", low)
    plain, changed = losses(make(*keys, out="plain")), losses(make(*keys, change, out="changed"))
    assert plain != changed
    if change == "data.loss_mask=true":  # all of a picture counts, or nothing of it
        assert 0 <= sum(changed) < sum(plain)
