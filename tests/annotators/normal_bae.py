"""A random network for `normal_bae`, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.bae import BaeNet
    from controlnet.conditions._networks.load import place

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(BaeNet, BaeNet(slim=8))
