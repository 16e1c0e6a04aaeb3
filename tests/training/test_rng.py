"""Randomness is a function of seed and key."""

import torch

from controlnet.training.rng import generator


def test_the_same_key_draws_the_same_and_another_draws_otherwise() -> None:
    keys = [(0, "pass", 1, 0), (0, "pass", 1, 1), (0, "pass", 2, 0), (1, "pass", 1, 0), (0, "gain")]
    draws = [torch.rand(8, generator=generator(*key)) for key in keys]
    again = [torch.rand(8, generator=generator(*key)) for key in keys]
    assert all(torch.equal(a, b) for a, b in zip(draws, again, strict=True))
    assert len({tuple(draw.tolist()) for draw in draws}) == len(keys)


def test_nothing_is_drawn_from_the_global_generator() -> None:
    before = torch.get_rng_state()
    torch.rand(3, generator=generator(5, "x"))
    assert torch.equal(torch.get_rng_state(), before)
