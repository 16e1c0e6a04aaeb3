"""A random network for `softedge_pidinet`."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.pidinet import PiDiNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(PiDiNet, PiDiNet())
