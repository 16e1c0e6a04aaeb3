"""The locked part of a step: encoded by itself, once, without changing a bit."""

from collections.abc import Iterator
from unittest.mock import patch

import pytest
import torch

from controlnet.backbones import Base
from controlnet.data import Batch
from controlnet.training import frozen
from controlnet.training.frozen import Frozen, remembers
from controlnet.training.sections import Data, ObjectivePart
from controlnet.training.step import Draws

CAPTIONS = ["red circle", "blue circle", "red circle", "a"]


@pytest.fixture
def batch() -> Batch:
    torch.manual_seed(0)
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    pixels[2] = pixels[0]
    return Batch(pixels, torch.rand(4, 3, 32, 32), CAPTIONS, [0, 1, 2, 3])


@pytest.fixture
def calls(base: Base) -> Iterator[list[object]]:
    """Count the encodings."""
    made: list[object] = []
    posterior, prompts = Base.posterior, Base.encode_prompts
    with (
        patch.object(Base, "posterior", lambda self, x: made.append("picture") or posterior(self, x)),
        patch.object(
            Base,
            "encode_prompts",
            lambda self, p, *a, **named: made.extend(p) or prompts(self, p, *a, **named),
        ),
    ):
        yield made


def draws(dropout: float = 0.0) -> Draws:
    return Draws.of(ObjectivePart(prompt_dropout=dropout), 1000, (4, 4, 4, 4), 0, 1, 0)


def test_remembering_changes_no_bit(base: Base, batch: Batch) -> None:
    warm, cold = Frozen(base, 32, remember=True), Frozen(base, 32, remember=False)
    warm.inputs(batch, draws())
    for order in ([0, 1, 2, 3], [3, 1], [2]):
        part = Batch(batch.pixels[order], batch.condition[order], [CAPTIONS[i] for i in order], order)
        drawn = draws()[slice(0, len(order))]
        one, other = warm.inputs(part, drawn), cold.inputs(part, drawn)
        assert torch.equal(one.latents, other.latents)
        assert torch.equal(one.context.tokens, other.context.tokens)


def test_each_picture_and_caption_is_encoded_once(base: Base, batch: Batch, calls: list[object]) -> None:
    kept = Frozen(base, 32, remember=True)
    for _ in range(3):
        kept.inputs(batch, draws())
    assert sorted(map(str, calls)) == sorted(["", "picture", "picture", "picture", *set(CAPTIONS)])


def test_nothing_is_kept_where_it_shall_not_be(base: Base, batch: Batch, calls: list[object]) -> None:
    fleeting = Frozen(base, 32, remember=False)
    for _ in range(2):
        fleeting.inputs(batch, draws())
    assert calls.count("picture") == 8


def test_the_posterior_is_sampled_anew_from_what_is_remembered(base: Base, batch: Batch) -> None:
    kept = Frozen(base, 32, remember=True)
    first, second = (kept.latents(batch.pixels, torch.randn(4, 4, 4, 4)) for _ in range(2))
    mean, deviation = base.posterior(batch.pixels)
    assert not torch.equal(first, second)
    assert torch.allclose(kept.latents(batch.pixels, torch.zeros(4, 4, 4, 4)), mean, atol=1e-5)
    assert torch.allclose(kept.latents(batch.pixels, torch.ones(4, 4, 4, 4)), mean + deviation, atol=1e-5)


def test_dropped_prompts_are_the_empty_one(base: Base, batch: Batch) -> None:
    kept = Frozen(base, 32, remember=True)
    empty = base.encode_prompts([""]).tokens
    assert torch.equal(kept.inputs(batch, draws(dropout=1.0)).context.tokens, empty.expand(4, -1, -1))
    mixed = draws(dropout=0.5)
    found = kept.inputs(batch, mixed).context
    for row, keeps in enumerate(mixed.keeps_prompt.tolist()):
        assert torch.equal(found[row].tokens, empty) == (not keeps)
    assert 0 < mixed.keeps_prompt.sum() < 4


def test_latents_carry_no_graph(base: Base, batch: Batch) -> None:
    found = Frozen(base, 32, remember=False).inputs(batch, draws())
    assert not found.latents.requires_grad and not found.context.tokens.requires_grad


def test_auto_remembers_what_is_small_enough(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    auto = Data(source="shapes", condition="canny", count=10)
    each = 2 * 4 * 4 * 4 * 4 + base.encode_prompts([""]).tokens.numel() * 4 + 2 * 3 * 32 * 32
    monkeypatch.setattr(frozen, "AUTO_BYTES", 100 * each)
    assert remembers(auto, base, 32, 99) and not remembers(auto, base, 32, 100)
    assert remembers(auto.model_copy(update={"cache": "memory"}), base, 32, 10**9)
    assert not remembers(auto.model_copy(update={"cache": "none"}), base, 32, 1)
