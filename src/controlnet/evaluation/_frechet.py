"""Fréchet distance between two sets of features, streamed as moments."""

from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from controlnet.evaluation._sets import Extractor, Features, Sets
from controlnet.evaluation.metric import Interval, nothing_taken

DRAWS: Final = 200


@final
class Moments:
    """Number, mean and covariance of vectors that come one by one: D + D² numbers, however many come.

    The sums are taken about the first vector, so that no large mean drowns a small variance.
    """

    def __init__(self) -> None:
        self.count = 0
        self._origin: Features | None = None
        self._sum: NDArray[np.float64] = np.zeros(0)
        self._products: NDArray[np.float64] = np.zeros((0, 0))

    def take(self, features: Features) -> None:
        """Take a vector (D,)."""
        if self._origin is None:
            self._origin = features.astype(np.float64)
            self._sum = np.zeros_like(self._origin)
            self._products = np.zeros((len(features), len(features)))
        apart = features - self._origin
        self.count += 1
        self._sum += apart
        self._products += np.outer(apart, apart)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean (D,)."""
        assert self._origin is not None
        return self._origin + self._sum / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """The covariance (D, D) with n − 1, as numpy and clean-fid have it; of one vector, NaN."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self._products - np.outer(self._sum, self._sum) / self.count) / (self.count - 1)


def frechet_distance(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    other_mean: NDArray[np.float64],
    other_covariance: NDArray[np.float64],
) -> float:
    """Return |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), NaN where a moment is.

    The last trace is that of (C₁^½ C₂ C₁^½)^½, whose matrix is symmetric: it needs no square root of a
    general matrix, which is complex where covariances are singular. Source: Dowson and Landau, 1982; Heusel
    et al. 1706.08500, eq. 6.
    """
    if not all(np.isfinite(part).all() for part in (mean, covariance, other_mean, other_covariance)):
        return float("nan")
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    both = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum()
    apart = mean - other_mean
    return float(apart @ apart + np.trace(covariance) + np.trace(other_covariance) - 2 * both)


class FrechetDistance(Sets):
    """Fréchet distance of the features of generated pictures to those of the true ones.

    A subclass gives its name and the extractor. With `resample` it keeps the features, and tells an interval.
    """

    unit: ClassVar[str] = "distance of features, squared"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, name: str, extractor: Extractor, resample: bool) -> None:
        super().__init__(extractor)
        self._name = name
        self._moments = {True: Moments(), False: Moments()}
        self._kept: dict[bool, list[Features]] | None = {True: [], False: []} if resample else None

    def take(self, features: Features, made: bool) -> None:
        """Add features to the moments."""
        self._moments[made].take(features)
        if self._kept is not None:
            self._kept[made].append(features)

    @final
    def compute(self) -> dict[str, float]:
        """Tell the distance, and how many pictures of either kind it was taken of; NaN for fewer than two."""
        made, true = self._moments[True], self._moments[False]
        if not made.count:
            raise nothing_taken(self)
        found = frechet_distance(made.mean, made.covariance, true.mean, true.covariance)
        return {self._name: found, f"{self._name}_true_pictures": float(true.count)}

    @final
    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the spread of the distance over resampled pictures, about the distance; None if not kept.

        Resampled sets hold pictures twice, so that their distance is too large throughout: their mean is
        brought back to the distance. The bias of few pictures, which makes any Fréchet distance too large, is
        not in the interval: compare only sets of equal counts.
        """
        if self._kept is None or min(len(some) for some in self._kept.values()) < 2:
            return None
        chance = np.random.default_rng(0)
        sets = [np.stack(self._kept[made]) for made in (True, False)]
        drawn = []
        for _ in range(DRAWS):
            moments: list[NDArray[np.float64]] = []
            for some in sets:
                rows = some[chance.integers(len(some), size=len(some))]
                moments += [rows.mean(axis=0), np.cov(rows, rowvar=False)]
            drawn.append(frechet_distance(*moments))
        centre = next(iter(self.compute().values()))
        low, high = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)]) - np.mean(drawn)
        return max(0.0, centre + float(low)), centre + float(high)
