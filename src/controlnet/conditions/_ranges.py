"""Conditions whose settings are drawn at random for each picture: "canny(low=50..150, high=150..250)".

A range has two dots, and both ends belong to it: of two whole numbers, a whole number is drawn, else any
number. Alternatives have bars: "scribble(strokes='dark'|'light')". The paper trained canny with random
thresholds and ControlNet 1.1 its scribbles with strokes of random width (2302.05543, 4.1; README of 1.1).
"""

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from pydantic import ValidationError

from controlnet import registry
from controlnet.conditions._base import Condition
from controlnet.errors import SettingError
from controlnet.nearest import quoted

TRIES: Final = 100  # draws until one fits, where settings bind each other, as low <= high does
_NUMBER: Final = r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_STRING: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_LITERAL: Final = rf"(?:{_STRING}|{_NUMBER}|True|False|None)"
_DRAWN: Final = re.compile(
    rf"(?P<choice>{_LITERAL}(?:\s*\|\s*{_LITERAL})+)"
    rf"|(?P<kept>{_STRING})"
    rf"|(?P<least>{_NUMBER})\s*\.\.\s*(?P<most>{_NUMBER})"
)
_RANGE, _CHOICE = "..", "|"  # keys of the literals that stand for what is drawn
_SEEDED: Final = frozenset({"seed", "per_picture"})


@dataclass(frozen=True)
class Range:
    """Numbers from least to most: whole ones if both ends are."""

    least: int | float
    most: int | float

    def draw(self, rng: random.Random) -> int | float:
        """Draw one, each as likely as any other; of other than whole numbers, six digits."""
        if isinstance(self.least, int) and isinstance(self.most, int):
            return self.least + int(rng.random() * (self.most - self.least + 1))
        drawn = float(f"{self.least + rng.random() * (self.most - self.least):.6g}")
        return min(max(drawn, float(self.least)), float(self.most))

    def ends(self) -> tuple[Any, ...]:
        """Return what must fit for all to fit."""
        return self.least, self.most


@dataclass(frozen=True)
class Choice:
    """A few alternatives."""

    among: tuple[Any, ...]

    def draw(self, rng: random.Random) -> Any:
        """Draw one, each as likely as any other."""
        return self.among[int(rng.random() * len(self.among))]

    def ends(self) -> tuple[Any, ...]:
        """Return what must fit for all to fit."""
        return self.among


Drawn = Range | Choice


@final
@dataclass(frozen=True)
class Spread:
    """A condition of which some settings are drawn; made by `spread`.

    example: one of the conditions that can be drawn; it tells the kind, its weights, and whether maps are
    labels.
    """

    text: str
    name: str
    fixed: Mapping[str, Any]
    drawn: Mapping[str, Drawn]
    example: Condition

    def draw(self, seed: int, content: str) -> Condition:
        """Return the condition for a picture: its settings depend on the seed and on `content` alone.

        `content` names what is in the picture, such as a checksum. Each setting has random numbers of its
        own. Where the drawn settings do not go together (low above high), all are drawn again; raises
        SettingError where they never do.
        """
        return _draw(self.name, self.fixed, self.drawn, f"{seed} {content}") if self.drawn else self.example

    def __str__(self) -> str:
        """Return the text as it was given."""
        return self.text


def spread(text: str) -> Spread:
    """Read a condition's text in which settings may be ranges, least..most, or alternatives, a|b.

    A condition that draws random numbers itself (one with a `seed`) gets a seed of each picture's own unless
    the text speaks of it: all maps of one size would have the same holes otherwise. Raises UnknownName and
    SettingError as `condition` does, and SettingError for a range that runs backwards, leaves the setting's
    bounds, or never fits the others.
    """
    name, settings = _read(text)
    drawn = {key: value for key, value in settings.items() if isinstance(value, (Range, Choice))}
    fixed = {key: value for key, value in settings.items() if key not in drawn}
    for corner in range(max((len(kind.ends()) for kind in drawn.values()), default=0)):
        ends = {key: kind.ends()[min(corner, len(kind.ends()) - 1)] for key, kind in drawn.items()}
        try:
            _made(name, {**fixed, **ends})
        except SettingError as error:
            if not _of_several(error):
                raise
    example = _draw(name, fixed, drawn, "")
    if "seed" in type(example).model_fields and not _SEEDED & settings.keys():
        drawn = {**drawn, "seed": Range(0, 2**32 - 1)}
    return Spread(text, name, fixed, drawn, example)


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """Split a text into name and settings, ranges and alternatives read as such."""
    if text in registry.aliases("conditions"):  # some tools' labels hold signs that no name does
        return text, {}
    try:
        name, settings = registry.parse(_DRAWN.sub(_marked, text))
    except SettingError as error:
        raise SettingError(
            f"cannot read {quoted(text)}; wanted a name with settings that are literals, ranges such as "
            "low=50..150, or alternatives such as strokes='dark'|'light'"
        ) from error
    return name, {key: _meant(text, key, value) for key, value in settings.items()}


def _marked(match: re.Match[str]) -> str:
    if match["kept"]:
        return match["kept"]
    if match["choice"]:
        return f"{{{_CHOICE!r}: ({', '.join(re.findall(_LITERAL, match['choice']))},)}}"
    return f"{{{_RANGE!r}: ({match['least']}, {match['most']})}}"


def _meant(text: str, key: str, value: Any) -> Any:
    if not isinstance(value, dict) or value.keys() not in ({_RANGE}, {_CHOICE}):
        return value
    if _CHOICE in value:
        return Choice(value[_CHOICE])
    least, most = value[_RANGE]
    if least > most:
        raise SettingError(
            f"{quoted(text)}: {key}={least}..{most} runs backwards; write the least number first"
        )
    return Range(least, most)


def _draw(name: str, fixed: Mapping[str, Any], drawn: Mapping[str, Drawn], chance: str) -> Condition:
    problem: SettingError | None = None
    for attempt in range(TRIES if drawn else 1):
        numbers = {key: kind.draw(random.Random(f"{chance} {key} {attempt}")) for key, kind in drawn.items()}
        try:
            return _made(name, {**fixed, **numbers})
        except SettingError as error:
            if not drawn:
                raise
            problem = error
    raise SettingError(
        f"{name}: of {TRIES} draws no settings go together ({problem}); choose ranges that do"
    ) from problem


def _made(name: str, settings: Mapping[str, Any]) -> Condition:
    told = ", ".join(f"{key}={value!r}" for key, value in settings.items())
    return registry.get("conditions", f"{name}({told})" if told else name)


def _of_several(error: SettingError) -> bool:
    """Tell whether the settings fit one by one, but not together."""
    cause = error.__cause__
    return isinstance(cause, ValidationError) and all(not item["loc"] for item in cause.errors())
