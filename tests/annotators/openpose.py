"""Random networks for `openpose`."""

import torch


def place_random() -> None:
    """Put them into the cache, seeded."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.openpose import BodyNet, FaceNet, HandNet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for kind in (BodyNet, HandNet, FaceNet):
            place(kind, kind())
