"""Metrics that follow from sums over pictures, and their confidence intervals by bootstrap.

Of each picture only a row of numbers is kept: its score, or what its score is made of (hits and misses, the
two sides of a fraction). The measure is a function of the mean row, so a bootstrap draws pictures, not
pixels: the pictures of a set are resampled with replacement, a thousand times, and the interval holds the
middle of what comes out (the percentile method: Efron and Tibshirani, An Introduction to the Bootstrap,
1993, ch. 13).
"""

from abc import abstractmethod
from typing import ClassVar, Final, final

import numpy as np
from numpy.typing import NDArray

from controlnet.evaluation.metric import Interval, Metric, Pixels, check_pair, needed, nothing_taken

DRAWS: Final = 1000
Row = NDArray[np.float64]


class Averaged(Metric):
    """A metric whose measures follow from the mean over pictures of some numbers.

    A subclass writes `row`, and `tell` where there is more to tell than the mean of one number; it calls
    `super().__init__()`.
    """

    columns: ClassVar[int] = 1
    """How many numbers a row has, at least."""

    def __init__(self) -> None:
        self._rows: list[Row | None] = []

    @abstractmethod
    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Return the numbers of one picture; None where there is nothing to tell of it."""

    @abstractmethod
    def tell(self, mean: Row) -> dict[str, float]:
        """Turn a mean row, or the row of one picture, into the measures, headline first."""

    @final
    def update(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None = None) -> None:
        """Take a picture; see Metric."""
        check_pair(picture, condition, truth)
        if self.wants_truth:
            needed(self, truth)
        self._rows.append(self.row(picture, condition, caption, truth))

    @final
    def compute(self) -> dict[str, float]:
        """Tell the measures, NaN where no picture had anything to tell."""
        if not self._rows:
            raise nothing_taken(self)
        table = self._table()
        mean = table.mean(axis=0) if len(table) else np.full(self.columns, np.nan)
        return {name: float(value) for name, value in self.tell(mean).items()}

    @property
    def count(self) -> int:
        """How many of the pictures had something to tell."""
        return sum(row is not None for row in self._rows)

    @final
    def scores(self) -> list[float]:
        """Return the headline of each picture by itself, in the order of `update`; NaN for none."""
        return [float("nan") if row is None else self._headline(row) for row in self._rows]

    @final
    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the headline's interval from `DRAWS` resamplings; None for fewer than two pictures."""
        table = self._table()
        if len(table) < 2:
            return None
        chance = np.random.default_rng(0)
        even = np.full(len(table), 1 / len(table))
        drawn = [
            self._headline(chance.multinomial(len(table), even) @ table / len(table)) for _ in range(DRAWS)
        ]
        low, high = np.nanpercentile(drawn, [50 * (1 - level), 50 * (1 + level)])
        return float(low), float(high)

    def _headline(self, mean: Row) -> float:
        return float(next(iter(self.tell(mean).values())))

    def _table(self) -> NDArray[np.float64]:
        """Return the rows that tell something, short ones filled up with zeros."""
        rows = [row for row in self._rows if row is not None]
        width = max([self.columns, *(len(row) for row in rows)])
        table = np.zeros((len(rows), width))
        for number, row in enumerate(rows):
            table[number, : len(row)] = row
        return table
