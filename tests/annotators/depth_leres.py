"""A random network for `depth_leres`, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.leres import LeReS
    from controlnet.conditions._networks.load import place

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(LeReS, LeReS(slim=16))
