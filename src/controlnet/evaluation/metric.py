"""What every metric is: something that is shown samples one by one and then tells named numbers."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from controlnet.errors import DataError, ShapeError

Pixels = NDArray[np.uint8]


class Metric(ABC):
    """A measure over a set of generated pictures.

    A subclass in a file of its own under `metrics/` is all that a new metric takes; its settings are the
    arguments of its constructor. An instance measures one set; for the next one a new instance is made.
    """

    title: ClassVar[str]
    """One line for a person: what is measured."""
    unit: ClassVar[str]
    """What the headline is counted in, such as "share" or "pixels"."""
    higher_is_better: ClassVar[bool]
    """Whether a larger headline is a better one."""

    @abstractmethod
    def update(self, picture: Pixels, condition: Pixels, caption: str) -> None:
        """Take a generated picture, the condition map that it was to obey, and its caption.

        Both uint8 of H×W×3. Raises DataError for other arrays, ShapeError where their sizes differ.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Tell the measures of what was taken so far; the first, the headline, bears the metric's own name.

        Raises DataError where nothing was taken yet.
        """


def check_pair(picture: Pixels, condition: Pixels) -> None:
    """Raise DataError for anything but uint8 arrays of H×W×3, and ShapeError where their sizes differ."""
    for name, array in (("picture", picture), ("condition", condition)):
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            mend = "convert it with np.asarray(image.convert('RGB'))"
            raise DataError(f"the {name} is {array.dtype} {array.shape}; wanted uint8 of H×W×3; {mend}")
    if picture.shape != condition.shape:
        sizes = " and its condition ".join(f"{a.shape[1]}×{a.shape[0]}" for a in (picture, condition))
        raise ShapeError(f"the picture is {sizes}; wanted one size; resize the map as it was for sampling")


def nothing_taken(metric: Metric) -> DataError:
    """Make the error of a metric that is asked before it was shown anything."""
    return DataError(f"{type(metric).__name__} has taken no picture; call update(...) before compute()")
