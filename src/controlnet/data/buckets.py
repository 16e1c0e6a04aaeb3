"""Aspect-ratio buckets: pictures of about one shape come to one size, so that they fit into one batch.

A picture goes to the bucket of the nearest aspect ratio, is scaled until it covers that size, and what
sticks out is cut off (see `Transform`): at a ratio of 3:2 a square would lose a third of it, a bucket a few
per cent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from controlnet.data.example import BadExample
from controlnet.errors import SettingError


@runtime_checkable
class Measured(Protocol):
    """A data set that knows the size of a picture without decoding it."""

    def __len__(self) -> int:
        """Count the examples."""
        ...

    def size_of(self, index: int) -> tuple[int, int]:
        """Give height and width in pixels; may raise BadExample."""
        ...


@dataclass(frozen=True)
class Buckets:
    """The sizes (H, W), in pixels, that pictures may come to.

    Sides are multiples of `step`, and for each height the width is the largest that keeps the picture within
    side × side pixels, so that no bucket takes more memory than the square; the longer side is at most
    `ratio` times the shorter. Raises SettingError.
    """

    side: int
    step: int = 64
    ratio: float = 2.0

    def __post_init__(self) -> None:
        """Refuse what leaves no square."""
        if self.step < 1 or self.side < self.step or self.side % self.step or self.ratio < 1:
            raise SettingError(
                f"got side {self.side}, step {self.step} and ratio {self.ratio:g} of buckets, wanted a side "
                "that is a multiple of the step, such as 512 and 64, and a ratio from 1"
            )

    @cached_property
    def sizes(self) -> tuple[tuple[int, int], ...]:
        """All of them, from the widest to the tallest."""
        found: set[tuple[int, int]] = set()
        for tall in range(self.step, self.side + 1, self.step):
            wide = self.side**2 // tall // self.step * self.step
            if wide <= self.ratio * tall:
                found |= {(tall, wide), (wide, tall)}
        return tuple(sorted(found, key=lambda size: size[0] / size[1]))

    def number(self, height: int, width: int) -> int:
        """Return the place in `sizes` of the nearest aspect ratio, that of more pixels where two are."""
        away = [(abs(log(height * w / (width * h))), -h * w) for h, w in self.sizes]
        return away.index(min(away))

    def nearest(self, height: int, width: int) -> tuple[int, int]:
        """Return the size (H, W) of the nearest aspect ratio."""
        return self.sizes[self.number(height, width)]

    def of(self, dataset: Measured, indices: Sequence[int]) -> NDArray[np.int16]:
        """Return the bucket of each of some examples; what cannot be read goes to the first bucket."""
        found = np.zeros(len(indices), np.int16)
        for place, index in enumerate(indices):
            try:
                found[place] = self.number(*dataset.size_of(index))
            except BadExample:  # the loader will meet it too, and take the next good one
                continue
        return found
