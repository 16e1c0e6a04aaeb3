"""What every metric is: something that is shown samples one by one and then tells named numbers."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._weights import Weights
from controlnet.errors import DataError, ShapeError

Pixels = NDArray[np.uint8]
Interval = tuple[float, float]


class Metric(ABC):
    """A measure over a set of generated pictures.

    A subclass in a file of its own under `metrics/` is all that a new metric takes; its settings are the
    arguments of its constructor. An instance measures one set; for the next one a new instance is made.
    Most metrics are means over pictures and derive from `Averaged`, which brings intervals.
    """

    title: ClassVar[str]
    """One line for a person: what is measured."""
    unit: ClassVar[str]
    """What the headline is counted in, such as "share" or "pixels"."""
    higher_is_better: ClassVar[bool]
    """Whether a larger headline is a better one."""
    wants_truth: ClassVar[bool] = False
    """Whether `update` needs the true picture beside the generated one."""
    weights: ClassVar[tuple[Weights, ...]] = ()
    """The weight files that the metric needs, of which it may need only some; none where it needs none."""

    @abstractmethod
    def update(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None = None) -> None:
        """Take a generated picture, the condition map that it was to obey, and its caption.

        truth: the true picture of the example, for the metrics that compare with it. All uint8 of H×W×3.
        Raises DataError for other arrays and for a truth that is lacking, ShapeError where sizes differ.
        """

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """Tell the measures of what was taken so far; the first, the headline, bears the metric's own name.

        Raises DataError where nothing was taken yet.
        """

    @property
    @abstractmethod
    def count(self) -> int:
        """How many pictures the headline speaks of: those that have nothing to tell are not among them."""

    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the bounds of the headline's confidence interval, or None where there is none to be told."""
        return None


def check_pair(picture: Pixels, condition: Pixels, truth: Pixels | None = None) -> None:
    """Raise DataError for anything but uint8 arrays of H×W×3, and ShapeError where their sizes differ."""
    others = [("condition", condition)] + ([] if truth is None else [("truth", truth)])
    for name, array in [("picture", picture), *others]:
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            mend = "convert it with np.asarray(image.convert('RGB'))"
            raise DataError(f"the {name} is {array.dtype} {array.shape}; wanted uint8 of H×W×3; {mend}")
    for name, array in others:
        if picture.shape != array.shape:
            sizes = f" and its {name} ".join(f"{a.shape[1]}×{a.shape[0]}" for a in (picture, array))
            raise ShapeError(
                f"the picture is {sizes}; wanted one size; resize the map as it was for sampling"
            )


def needed(metric: Metric, truth: Pixels | None) -> Pixels:
    """Return the true picture; DataError where it is lacking."""
    if truth is None:
        raise DataError(
            f"{type(metric).__name__} compares with true pictures and got none; give update(..., truth=…)"
        )
    return truth


def nothing_taken(metric: Metric) -> DataError:
    """Make the error of a metric that is asked before it was shown anything."""
    return DataError(f"{type(metric).__name__} has taken no picture; call update(...) before compute()")
