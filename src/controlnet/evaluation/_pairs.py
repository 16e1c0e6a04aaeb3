"""Diversity: how far apart the pictures are that were made for one example from several seeds."""

import hashlib
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar, final

import numpy as np

from controlnet.errors import SettingError
from controlnet.evaluation.metric import Interval, Metric, Pixels, check_pair, nothing_taken

T = TypeVar("T")


class Diversity(Metric, Generic[T]):
    """Mean distance between the pictures of one example, over all pairs; then the mean over examples.

    Pictures belong together that have the same condition and the same caption. What is kept of an example is
    let go once `seeds` pictures of it are there; without that number it is kept to the end. NaN where no
    example has two. A subclass gives its name, how a picture is embedded and how far two are apart.
    """

    unit: ClassVar[str] = "mean distance of pairs"
    higher_is_better: ClassVar[bool] = True

    def __init__(
        self, name: str, embed: Callable[[Pixels], T], apart: Callable[[T, T], float], seeds: int | None
    ) -> None:
        if seeds is not None and seeds < 2:
            raise SettingError(f"got seeds={seeds}; wanted at least 2 pictures of each example, or None")
        self._name, self._embed, self._apart, self._seeds = name, embed, apart, seeds
        self._open: dict[bytes, list[T]] = {}
        self._done: list[float] = []
        self._taken = 0

    @final
    def update(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None = None) -> None:
        """Take a picture."""
        check_pair(picture, condition, truth)
        self._taken += 1
        whole = condition.tobytes() + caption.encode()
        key = hashlib.sha1(f"{condition.shape}".encode() + whole, usedforsecurity=False).digest()
        group = self._open.setdefault(key, [])
        group.append(self._embed(picture))
        if len(group) == self._seeds:
            self._done.append(self._spread(self._open.pop(key)))

    @final
    def compute(self) -> dict[str, float]:
        """Tell the mean over examples."""
        if not self._taken:
            raise nothing_taken(self)
        found = self._values()
        return {self._name: float(np.mean(found)) if found else float("nan")}

    @property
    def count(self) -> int:
        """How many examples have at least two pictures."""
        return len(self._values())

    @final
    def interval(self, level: float = 0.95) -> Interval | None:
        """Return the percentile interval over resampled examples; None for fewer than two."""
        found = np.array(self._values())
        if len(found) < 2:
            return None
        chance = np.random.default_rng(0)
        drawn = found[chance.integers(len(found), size=(1000, len(found)))].mean(axis=1)
        low, high = np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)])
        return float(low), float(high)

    def _values(self) -> list[float]:
        return [*self._done, *(self._spread(group) for group in self._open.values() if len(group) > 1)]

    def _spread(self, group: list[T]) -> float:
        pairs = [self._apart(a, b) for n, a in enumerate(group) for b in group[:n]]
        return float(np.mean(pairs))
