"""Weights that change over the steps: keyframes and the way from one to the next.

As text, for command lines and files: `0:1|0.6:0.2`, position:weight, and maybe an easing at the end,
`0:1|0.6:0.2|ease-in`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Final, Literal, final

from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import quoted, unknown

Easing = Literal["linear", "ease-in", "ease-out", "ease", "hold"]

# What share of the way to the next keyframe is done after the share t of the time to it.
EASINGS: Final[dict[Easing, Callable[[float], float]]] = {
    "linear": lambda t: t,
    "ease-in": lambda t: t * t,
    "ease-out": lambda t: t * (2 - t),
    "ease": lambda t: t * t * (3 - 2 * t),
    "hold": lambda t: 0.0,
}
FORM: Final = "position:weight|position:weight…, such as 0:1|0.6:0.2, maybe with |ease at the end"


@final
@dataclass(frozen=True)
class Keyframe:
    """A weight and where it holds: position 0 is the first step, 1 the last; weights may be negative.

    Raises SettingError for numbers that cannot be meant.
    """

    position: float
    weight: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.position <= 1.0 or not isfinite(self.weight):
            raise SettingError(
                f"got a keyframe at {self.position} with weight {self.weight}; wanted a position from 0, the "
                "first step, to 1, the last, and a finite weight"
            )


@final
@dataclass(frozen=True)
class Schedule:
    """A weight for each step, led through keyframes: `Schedule((Keyframe(0, 1), Keyframe(0.6, 0.2)))`.

    Before the first keyframe and after the last their weights stay. easing, for each way between two:
    "linear"; "ease-in" begins slowly (t²), "ease-out" ends slowly, "ease" both (3t² − 2t³); "hold" keeps each
    weight up to the next keyframe. At a step whose weight is exactly 0 the ControlNet is not called.

    Raises SettingError for no keyframes and positions that do not rise, UnknownName for another easing.
    """

    keyframes: tuple[Keyframe, ...]
    easing: Easing = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "keyframes", tuple(self.keyframes))
        if self.easing not in EASINGS:
            raise UnknownName(unknown("easing", self.easing, EASINGS))
        positions = [frame.position for frame in self.keyframes]
        if not positions or any(late <= early for early, late in pairwise(positions)):
            raise SettingError(
                f"got keyframes at {positions or 'no positions'}; wanted one at least, each later than the "
                "one before"
            )

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read the text form, as `str` writes it; SettingError for another one."""
        *pieces, last = (piece.strip() for piece in text.split("|"))
        easing: str = "linear"
        if pieces and ":" not in last:
            easing = "-".join(last.lower().replace("_", "-").split())
        else:
            pieces.append(last)
        if easing not in EASINGS:
            raise UnknownName(f"weight {quoted(text)}: {unknown('easing', last, EASINGS)}")
        return cls(tuple(_keyframe(text, piece) for piece in pieces), easing)

    def __str__(self) -> str:
        frames = [f"{frame.position!r}:{frame.weight!r}" for frame in self.keyframes]
        return "|".join(frames + ([] if self.easing == "linear" else [self.easing]))

    def at(self, index: int, count: int) -> float:
        """Give the weight at step `index` of `count`, whose position is index / (count − 1)."""
        return self.weight(index / (count - 1) if count > 1 else 0.0)

    def weight(self, position: float) -> float:
        """Give the weight at a position from 0 to 1."""
        if position <= self.keyframes[0].position:
            return self.keyframes[0].weight
        for before, after in pairwise(self.keyframes):
            if position < after.position:
                time = (position - before.position) / (after.position - before.position)
                return before.weight + EASINGS[self.easing](time) * (after.weight - before.weight)
        return self.keyframes[-1].weight


def parse_weight(text: str) -> float | Schedule:
    """Read a control's weight: a number, or a schedule in its text form; SettingError for anything else."""
    if ":" in text:
        return Schedule.parse(text)
    try:
        return float(text)
    except ValueError as error:
        raise SettingError(f"got the weight {quoted(text)}; wanted a number, or {FORM}") from error


def _keyframe(text: str, piece: str) -> Keyframe:
    position, _, weight = piece.partition(":")
    try:
        return Keyframe(float(position), float(weight))
    except SettingError as error:
        raise SettingError(f"weight {quoted(text)}: {error}") from error
    except ValueError as error:
        raise SettingError(f"weight {quoted(text)}: {quoted(piece)} is no keyframe; wanted {FORM}") from error
