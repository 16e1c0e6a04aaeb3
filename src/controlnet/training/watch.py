"""The watch for sudden convergence: when does control arrive? Asked of gain and adherence, never of the loss.

The training loss is flat while control arrives (sec. 3.3 of the paper, "sudden convergence phenomenon"),
because noise and timesteps move it far more than the condition does. Two instruments see it:

- control gain: loss with conditions shuffled among the samples − loss with the true ones (gain.py);
- adherence: how far finished samples obey, less how far the base's own samples do by chance (samples.py).

An instrument has risen at the first of several measurements in a row that each lie `SIGMAS` standard
errors above zero. The errors are those of differences paired by sample, so they stay small where the
samples differ widely. Control has arrived when every instrument that is switched on has risen.
"""

from dataclasses import dataclass
from typing import Final

SIGMAS: Final = 3.0
GAIN_ROW: Final = 3  # measurements in a row; one alone is above 3 sigma by chance once in 740
ADHERENCE_ROW: Final = 2  # dearer by a full sampling, and taken ten times more seldom
GAIN_FLOOR: Final = 0.02  # of the true loss: a certain but tiny gain is not yet control


@dataclass
class Rise:
    """The first step of `row` measurements in a row that are significantly above zero."""

    row: int
    at: int | None = None
    _since: int | None = None
    _length: int = 0

    def feed(self, step: int, value: float, error: float, floor: float = 0.0) -> None:
        """Take a measurement and its standard error."""
        if not (value > SIGMAS * error and value > floor):
            self._since, self._length = None, 0
            return
        self._since = step if self._since is None else self._since
        self._length += 1
        if self.at is None and self._length >= self.row:
            self.at = self._since


class ArrivalWatch:
    """Follows the instruments of a run and says at which step control arrived."""

    def __init__(self, with_adherence: bool) -> None:
        self.gain = Rise(GAIN_ROW)
        self.adherence = Rise(ADHERENCE_ROW)
        self._with_adherence = with_adherence

    @property
    def arrived(self) -> int | None:
        """The step at which control arrived, or None as long as it is not certain."""
        if self.gain.at is None or not self._with_adherence:
            return self.gain.at
        return None if self.adherence.at is None else max(self.gain.at, self.adherence.at)

    def feed(self, record: dict[str, float]) -> None:
        """Take what a line of metrics.jsonl says about gain and adherence, if anything."""
        step = int(record["step"])
        if "gain" in record:
            self.gain.feed(step, record["gain"], record["gain_error"], GAIN_FLOOR * record["held_out_loss"])
        if "adherence_gain" in record:
            self.adherence.feed(step, record["adherence_gain"], record["adherence_error"])
