"""Randomness as a function of (seed, what for, which step): nothing to save, nothing to restore."""

import hashlib

import torch


def generator(seed: int, *key: int | str) -> torch.Generator:
    """Return a CPU generator seeded by a run's seed and a key such as ("noise", step, part).

    All draws are made on the CPU, so that a run draws the same on every device, and anew at every step
    without any state: a resumed run draws what the uninterrupted one would have drawn.
    """
    digest = hashlib.sha256(repr((seed, *key)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
