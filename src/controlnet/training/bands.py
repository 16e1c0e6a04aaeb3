"""Loss by band of timesteps: where on the way from noise to picture a run learns, and where it does not.

The loss of one sample says mostly which timestep it had. Cut into quarters of the schedule, from the least
noise to the most, it becomes comparable with itself. What a step has measured already is only sorted: the
timesteps are drawn on the CPU, and the losses come to it in the one transfer that the mean takes anyway.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

BANDS: Final = 4
NAMES: Final = tuple(f"loss_band_{number}" for number in range(1, BANDS + 1))
"""The keys in metrics.jsonl; the first band is the one with the least noise."""


class Pass(NamedTuple):
    """What one pass of all processes has found: each sample's loss, on its device, and its timestep."""

    losses: Float[Tensor, " B"]
    timestep: Int[Tensor, " B"]


def mean_and_bands(passes: Sequence[Pass], timesteps: int) -> tuple[float, dict[str, float]]:
    """Return a step's loss, the mean over its samples, and the same of each band that has any of them.

    timesteps: T of the base. Weighted by their samples, the bands' means have the loss as their mean.
    """
    losses = torch.cat([one.losses for one in passes]).tolist()
    drawn = torch.cat([one.timestep for one in passes]).tolist()
    bands: list[list[float]] = [[] for _ in NAMES]
    for loss, timestep in zip(losses, drawn, strict=True):
        bands[timestep * BANDS // timesteps].append(loss)
    means = {name: _mean(band) for name, band in zip(NAMES, bands, strict=True) if band}
    return _mean(losses), means


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
