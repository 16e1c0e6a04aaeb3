"""Random numbers of a condition, which yet gives the same map of the same picture every time."""

import zlib

import numpy as np
from pydantic import Field

from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels


class Chance(Condition):
    """A condition that draws random numbers: what a seed is, and what it depends on."""

    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="where the random numbers begin")
    per_picture: bool = Field(
        default=False,
        description="other random numbers for each picture: what its pixels sum up to is added to the seed; "
        "meant for making data sets",
    )

    def numbers(self, image: Pixels) -> np.random.RandomState:
        """Return the source of random numbers for this picture.

        With the same seed it draws what the published annotators draw after `numpy.random.seed(seed)`.
        """
        more = zlib.crc32(image.tobytes()) if self.per_picture else 0
        return np.random.RandomState((self.seed + more) % 2**32)
