"""Prompts in sampling: long ones, negative ones of other lengths, weights, clip skip, neighbours."""

import numpy as np
import pytest
import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import ShapeError
from controlnet.sampling import Control, generate, sample_latents
from controlnet.sampling.prompts import encode_pairs, filled

LONG = "a red cube on a sand floor, " * 6  # three chunks of the 62 letters that the small base reads
SIZE = (32, 32)


def pictures(base: Base, prompt: str | list[str], **settings: object) -> list[np.ndarray]:
    return [np.asarray(made) for made in generate(base, prompt, steps=2, seed=3, **settings)]  # type: ignore[arg-type]


def test_pairs_have_the_length_of_the_longer_one(base: Base) -> None:
    prompts, negatives = encode_pairs(base, ["a cube", LONG, "a"], ["", "grey", LONG], SIZE)
    assert negatives is not None
    assert [part.tokens.shape[1] for part in prompts] == [64, 192, 192]
    assert [part.tokens.shape[1] for part in negatives] == [64, 192, 192]
    empty = base.encode_prompts([""]).tokens
    assert torch.equal(
        negatives[1].tokens, torch.cat([base.encode_prompts(["grey"]).tokens, empty, empty], 1)
    )
    assert torch.equal(prompts[0].tokens, base.encode_prompts(["a cube"]).tokens)
    assert encode_pairs(base, ["a"], None, SIZE)[1] is None


def test_clip_skip_reaches_what_fills_up(base: Base) -> None:
    _, negatives = encode_pairs(base, [LONG], ["grey"], SIZE, clip_skip=1)
    assert negatives is not None and torch.equal(
        negatives[0].tokens[:, 64:128], base.encode_prompts([""]).tokens
    )


def test_long_and_weighted_prompts_make_other_pictures(base: Base, net: ControlNet) -> None:
    condition = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
    made = [
        pictures(base, text, controls=[Control(net, condition)], negative_prompt=negative)[0]
        for text, negative in (
            (LONG, ""),
            (LONG[:56], ""),
            (LONG, LONG + "grey"),
            ("a (red:1.8) cube", ""),
            ("a red cube", ""),
        )
    ]
    for number, one in enumerate(made):
        assert not any(np.array_equal(one, other) for other in made[:number])


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_picture_does_not_depend_on_the_length_of_its_neighbour_s_prompt(base: Base, batch: int) -> None:
    texts = ["a red cube", LONG, "a blue cone", "a green ball"]
    together = pictures(base, texts, batch=batch)
    for number, text in enumerate(texts):
        alone = np.asarray(generate(base, text, steps=2, seed=3 + number)[0])
        difference = np.abs(together[number].astype(int) - alone).max()
        assert difference == 0 if batch == 1 else difference <= 1


def test_progress_counts_all_batches(base: Base) -> None:
    seen: list[tuple[int, int]] = []
    pictures(base, ["a", LONG, "b", "c"], batch=2, progress=lambda done, whole, _: seen.append((done, whole)))
    assert seen == [(number, 6) for number in range(1, 7)]


def test_the_empty_negative_takes_the_prompt_s_length(base: Base) -> None:
    context = base.encode_prompts([LONG])
    negative = filled(base.encode_prompts([""]), base.encode_prompts([""]), 192)
    found, wanted = (sample_latents(base, context, other, seeds=[1], steps=2) for other in (None, negative))
    assert torch.equal(found, wanted)
    with pytest.raises(ShapeError, match="other lengths"):
        sample_latents(base, context, base.encode_prompts(["grey"]), seeds=[1], steps=2)


def test_clip_skip_and_added_words_reach_the_picture(base: Base) -> None:
    plain = pictures(base, "a <mine>")[0]
    assert np.array_equal(plain, pictures(base, "a <mine>", clip_skip=1)[0])
    try:
        base.add_word("<mine>", [torch.ones(2, 16)])
        assert not np.array_equal(plain, pictures(base, "a <mine>")[0])
    finally:
        base.words.clear()
