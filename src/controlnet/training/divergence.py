"""The watch for divergence: a loss that blows up is seen, and stops the run, before it is no number any more.

The loss of a step is mostly the luck of its timesteps, more so the smaller the batch, so no single step is
judged. With ℓ_s the loss of step s:

    level   the lowest that the running mean of ℓ has been, over the last n = `SLOW` steps or so, with room
            for chance: mean · (1 + DOUBT/√n). In the first `SLOW` steps it is taken over those there are,
            `FEWEST` at least, and is forgotten after them. The zero convolutions begin as the base alone,
            so from the beginning it is about what the base is worth
    recent  the mean of min(ℓ_s, CAP·level) over the last `RECENT` steps; the cap keeps one broken picture
            from being taken for a trend
    blown up where recent > factor · level

A run that was resumed is fed the losses that it has recorded, so it stops where the uninterrupted one would.
"""

import logging
from collections import deque
from typing import Final

from controlnet.training.folder import RunFolder
from controlnet.training.state import newest, read

log = logging.getLogger(__name__)

SLOW: Final = 256
RECENT: Final = 32
FEWEST: Final = 8
LEAST: Final = 16  # steps before the first judgement
CAP: Final = 20.0
DOUBT: Final = 4.0  # of single samples' losses the deviation is about 1.3 times the mean; thrice that
ASIDE: Final = ".diverged"


class DivergenceWatch:
    """Follows the training loss; `factor` 0 switches it off."""

    def __init__(self, factor: float) -> None:
        self._factor = factor
        self._count, self._mean, self._level = 0, 0.0, float("inf")
        self._last: deque[tuple[int, float]] = deque(maxlen=RECENT)

    @property
    def level(self) -> float:
        """The level that the loss is judged by; infinite until there is one."""
        return self._level

    @property
    def recent(self) -> float:
        """The mean of the last steps, outliers capped."""
        return sum(min(loss, CAP * self._level) for _, loss in self._last) / len(self._last)

    def feed(self, step: int, loss: float) -> int | None:
        """Take a step's loss; return the step at which it began to blow up, None where it has not."""
        self._last.append((step, loss))
        self._count += 1
        number = min(self._count, SLOW)
        self._mean += (loss - self._mean) / number
        if self._count >= FEWEST:
            level = self._mean * (1 + DOUBT / number**0.5)
            self._level = level if self._count == SLOW else min(self._level, level)
        if not self._factor or self._count < LEAST or self.recent <= self._factor * self._level:
            return None
        return next(at for at, each in self._last if each > self._factor * self._level)


def set_aside(folder: RunFolder, since: int) -> None:
    """Rename states that were saved while the loss blew up, so that a resumed run begins at a good one."""
    while (place := newest(folder.states)) is not None and read(place)["step"] >= since:
        aside = place.with_suffix(ASIDE)
        log.warning("%s was saved while the loss blew up; it is kept as %s", place, aside.name)
        place.rename(aside)


def no_number(step: int, loss: float, norm: float, folder: RunFolder) -> str:
    """Tell of a loss or a gradient that is not finite."""
    got = f"at step {step} the loss is {loss} and the norm of its gradient {norm}"
    return f"{got}, wanted finite numbers; {_way(folder)}"


def blown_up(step: int, since: int, watch: DivergenceWatch, folder: RunFolder) -> str:
    """Tell of a loss that has blown up, its states from then on having been set aside."""
    got = (
        f"the loss blows up since step {since}: {watch.recent:.4g} over the last {RECENT} steps up to {step}"
    )
    return f"{got}, its level was {watch.level:.4g}; {_way(folder)}, or lift watch.divergence if it is meant"


def _way(folder: RunFolder) -> str:
    good = newest(folder.states)
    mend = "with a smaller learning rate (--set optim.lr=…)"
    return f"the last good state is {good}: --resume goes on there, {mend}" if good else f"start anew {mend}"
