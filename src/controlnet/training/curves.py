"""Curves of a run of any length in little memory: each point the mean of a stretch of steps."""

from typing import Final

MOST: Final = 240  # points of a curve, even


class Curve:
    """Takes (step, value) one by one and keeps at most `MOST` points; when it is full, pairs become one.

    Adding takes constant time, and what is kept depends on what was added alone.
    """

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._stretch, self._count = 1, 0
        self._step = self._value = 0.0
        self.last: float | None = None
        """The value added last."""

    def add(self, step: float, value: float) -> None:
        """Add a value."""
        self.last = value
        self._step += step
        self._value += value
        self._count += 1
        if self._count < self._stretch:
            return
        self._points.append((self._step / self._count, self._value / self._count))
        self._step, self._value, self._count = 0.0, 0.0, 0
        if len(self._points) == MOST:
            pairs = zip(self._points[::2], self._points[1::2], strict=True)
            self._points = [((a + c) / 2, (b + d) / 2) for (a, b), (c, d) in pairs]
            self._stretch *= 2

    @property
    def points(self) -> list[tuple[float, float]]:
        """The points, of whole stretches."""
        return list(self._points)

    def smooth(self) -> list[tuple[float, float]]:
        """Return a running mean of the points, over about an eighth of them."""
        share = min(1.0, 8 / max(1, len(self._points)))
        mean, weight, found = 0.0, 0.0, list[tuple[float, float]]()
        for step, value in self._points:
            mean, weight = mean + share * (value - mean), weight + share * (1 - weight)
            found.append((step, mean / weight))  # unbiased: the mean began at nought
        return found

    def __bool__(self) -> bool:
        return bool(self._points)
