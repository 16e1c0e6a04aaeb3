"""A random network for `softedge_hed`, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.hed import HED
    from controlnet.conditions._networks.load import place

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(HED, HED(slim=8))
