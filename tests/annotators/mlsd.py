"""A random network for `mlsd`."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.mlsd import MLSD

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(MLSD, MLSD())
