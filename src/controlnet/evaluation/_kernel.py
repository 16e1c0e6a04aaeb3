"""Kernel distance between two sets of features: the squared maximum mean discrepancy, without bias."""

from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from controlnet.errors import SettingError
from controlnet.evaluation._sets import Extractor, Features, Sets
from controlnet.evaluation.metric import Interval, nothing_taken

DRAWS: Final = 500
LARGEST: Final = 3000  # pictures of a set whose kernel matrix is still kept for the bootstrap


def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic kernel (a·b / D + 1)³ of rows (n, D) and (m, D)."""
    return (a @ b.T / a.shape[1] + 1) ** 3


def discrepancy(
    made: NDArray[np.float64],
    true: NDArray[np.float64],
    cross: NDArray[np.float64],
    counts: NDArray[np.float64] | None = None,
    true_counts: NDArray[np.float64] | None = None,
) -> float:
    """Return the unbiased estimate from three kernel matrices; a picture is never compared with itself.

    counts: how often each picture is there, in a resampled set; once unless given. Source: Gretton et al.,
    A Kernel Two-Sample Test, 2012, eq. 3.
    """
    a = np.ones(len(made)) if counts is None else counts
    b = np.ones(len(true)) if true_counts is None else true_counts

    def within(matrix: NDArray[np.float64], of: NDArray[np.float64]) -> float:
        own = of**2
        return float((of @ matrix @ of - own @ np.diag(matrix)) / (of.sum() ** 2 - own.sum()))

    return within(made, a) + within(true, b) - 2 * float(a @ cross @ b) / float(a.sum() * b.sum())


class KernelDistance(Sets):
    """Kernel distance of the features of generated pictures to those of the true ones.

    It is the mean over `subsets` draws of `size` pictures of each kind, as Bińkowski et al. (1801.01401) and
    all tools since compute it; with no more pictures than that, the estimate from all of them, at once.
    """

    unit: ClassVar[str] = "squared discrepancy of features"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, name: str, extractor: Extractor, subsets: int, size: int) -> None:
        if subsets < 1 or size < 2:
            raise SettingError(
                f"got subsets={subsets}, size={size}; wanted at least 1 and 2, such as 100 and 1000"
            )
        super().__init__(extractor)
        self._name, self._subsets, self._size = name, subsets, size
        self._kept: dict[bool, list[Features]] = {True: [], False: []}

    def take(self, features: Features, made: bool) -> None:
        """Keep the features: the kernel compares each with each."""
        self._kept[made].append(features)

    @final
    def compute(self) -> dict[str, float]:
        """Tell the distance, its standard deviation over the subsets, and the number of true pictures."""
        if not self._kept[True]:
            raise nothing_taken(self)
        made, true = (np.stack(self._kept[kind]) for kind in (True, False))
        found = self._draws(made, true) if min(len(made), len(true)) > 1 else np.array([np.nan])
        return {
            self._name: float(found.mean()),
            f"{self._name}_std": float(found.std()),
            f"{self._name}_true_pictures": float(len(true)),
        }

    @final
    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the percentile interval over resampled pictures; None for too few or too many pictures."""
        made, true = (
            np.stack(self._kept[kind]) if self._kept[kind] else np.zeros((0, 1)) for kind in (True, False)
        )
        if min(len(made), len(true)) < 2 or max(len(made), len(true)) > LARGEST:
            return None
        chance = np.random.default_rng(0)
        matrices = kernel(made, made), kernel(true, true), kernel(made, true)
        drawn: list[float] = []
        while len(drawn) < DRAWS:
            counts = [
                chance.multinomial(len(some), np.full(len(some), 1 / len(some))).astype(np.float64)
                for some in (made, true)
            ]
            if min(np.count_nonzero(some) for some in counts) > 1:
                drawn.append(discrepancy(*matrices, *counts))
        low, high = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)])
        return float(low), float(high)

    def _draws(self, made: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
        size = min(self._size, len(made), len(true))
        if size == len(made) == len(true) or max(len(made), len(true)) <= self._size:
            return np.array([discrepancy(kernel(made, made), kernel(true, true), kernel(made, true))])
        chance = np.random.default_rng(0)
        found: list[float] = []
        for _ in range(self._subsets):
            a, b = (some[chance.choice(len(some), size, replace=False)] for some in (made, true))
            found.append(discrepancy(kernel(a, a), kernel(b, b), kernel(a, b)))
        return np.array(found)
