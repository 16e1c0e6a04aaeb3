"""A random network for `lineart_realistic`, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.lineart import LineArt
    from controlnet.conditions._networks.load import place

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(LineArt, LineArt(slim=8))
