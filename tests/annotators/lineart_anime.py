"""A random network for `lineart_anime`, narrow."""

import torch


def place_random() -> None:
    """Put it into the cache, seeded."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.pix2pix import Anime2Sketch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        place(Anime2Sketch, Anime2Sketch(slim=8))
