"""The base's training: batches that grow, timesteps spread evenly, stopping that changes nothing."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from controlnet.shapes import judge
from controlnet.shapes.recipe import base as recipe
from controlnet.shapes.recipe.fit import Schedule

SCENES, GROWS = 8, 3
SCHEDULE = Schedule(steps=6, lr=1e-2, warmup=1, ema=0.9, save_every=2, restarts=(GROWS,))


class Small(nn.Module):
    """In place of U-Net and text encoder: a latent's channels mixed, and what was asked noted."""

    batches: list[int]

    def __init__(self, vocabulary: int, end: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Conv2d(8, 8, 1)
        self.words = nn.Embedding(vocabulary, 8)

    def forward(self, noisy: Tensor, timestep: Tensor, tokens: Tensor) -> Tensor:
        """Predict the velocity, of latents (B, 8, 16, 16)."""
        self.batches.append(len(noisy))
        return self.mix(noisy) + self.words(tokens).mean(1)[:, :, None, None]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a model folder with an autoencoder and latents, and the network small."""
    Small.batches = []
    monkeypatch.setattr(recipe, "TextToImage", Small)
    monkeypatch.setattr(recipe, "BATCH", 2)
    monkeypatch.setattr(recipe, "GROWS", GROWS)
    monkeypatch.setattr(recipe, "save", lambda model, out: torch.save(model.state_dict(), out / "saved.pt"))
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
        shutil.copytree(judge.WEIGHTS.parent / "base" / "vae", tmp_path / name / "vae")
        latents = torch.randn(SCENES, 8, 16, 16, generator=torch.Generator().manual_seed(1))
        torch.save(latents.half(), tmp_path / name / "latents.pt")
    return tmp_path


def run(out: Path) -> Iterator[dict[str, float]]:
    """Begin a training or go on with it; the pictures are not looked at, their latents are there."""
    return recipe.train(out / "none", out, SCENES, SCHEDULE)


def test_batches_are_twice_as_large_from_a_step_on(world: Path) -> None:
    assert [log["step"] for log in run(world / "whole")] == [1, 2, 3, 4, 5, 6]
    assert Small.batches == [2, 2, 2, 4, 4, 4]


@pytest.mark.parametrize("stop", [1, 2, 3, 5])
def test_a_stopped_training_makes_the_same_weights(world: Path, stop: int) -> None:
    list(run(world / "whole"))
    begun = run(world / "stopped")
    for _ in range(stop):
        next(begun)
    begun.close()
    list(run(world / "stopped"))
    whole, stopped = (torch.load(world / name / "saved.pt") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    logs = [(world / name / "base_run" / "log.jsonl").read_text() for name in ("whole", "stopped")]
    assert logs[0] == logs[1]


def test_each_part_of_the_timesteps_gives_one() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([recipe._spread(960, 16, generator) for _ in range(400)])
    assert torch.equal(drawn // 60, torch.arange(16).expand(400, 16))
    assert drawn.min() == 0 and drawn.max() == 959 and drawn.dtype == torch.int64
    assert recipe._spread(960, 1, generator).shape == (1,)
