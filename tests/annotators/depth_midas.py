"""A random network for `depth_midas` and `normal_midas`: that of MiDaS, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.dpt import DPTHybrid
    from controlnet.conditions._networks.load import place

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = DPTHybrid(slim=16)
    torch.nn.init.constant_(network.head[4].bias, 1.0)  # pyright: ignore[reportArgumentType]
    place(DPTHybrid, network)
