r"""Prompts as people write them: weights in brackets, and BREAK; text in, weighted pieces of text out.

    (word)        ×1.1             ((word))   ×1.21, and so on: brackets multiply
    (word:1.3)    ×1.3             [word]     ÷1.1
    \( \) \[ \]   the brackets themselves; \\ the backslash, where there are brackets at all
    BREAK         what follows begins a new chunk of tokens

Round and square brackets are matched each by themselves, so that they may cross. A bracket that nothing
opened is text; one that nothing closes reaches to the end. Text without any of these means exactly itself.
"""

from __future__ import annotations

import re
from math import isfinite
from typing import Final, NamedTuple

from controlnet.errors import SettingError

ROUND: Final = 1.1
SQUARE: Final = 1 / 1.1

_MARK: Final = re.compile(
    r"\\(?P<escaped>[()\[\]\\])"
    r"|:\s*(?P<number>[+-]?(?:\d+\.?\d*|\.\d+))\s*\)"
    r"|(?P<bracket>[()\[\]])"
)
STOP: Final = re.compile(r"\s*\bBREAK\b\s*")


class Piece(NamedTuple):
    """Some text of one weight."""

    text: str
    weight: float = 1.0


Section = list[Piece]
"""What stands between two BREAKs."""


def parse(prompt: str) -> list[Section]:
    """Return the sections of a prompt, at least one; neighbours of one weight are one piece.

    SettingError for weights that multiply to more than a number can hold.
    """
    if not re.search(r"[()\[\]]", prompt):
        return _sections([Piece(prompt)])
    texts: list[str] = []
    weights: list[float] = []
    opened: dict[str, list[int]] = {"(": [], "[": []}

    def take(text: str) -> None:
        texts.append(text)
        weights.append(1.0)

    def weigh(since: int, factor: float) -> None:
        for index in range(since, len(weights)):
            weights[index] *= factor

    end = 0
    for mark in _MARK.finditer(prompt):
        take(prompt[end : mark.start()])
        end = mark.end()
        bracket, number = mark["bracket"], mark["number"]
        if bracket in ("(", "["):
            opened[bracket].append(len(texts))
        elif number and opened["("]:
            weigh(opened["("].pop(), float(number))
        elif bracket == ")" and opened["("]:
            weigh(opened["("].pop(), ROUND)
        elif bracket == "]" and opened["["]:
            weigh(opened["["].pop(), SQUARE)
        else:
            take(mark["escaped"] or mark[0])
    take(prompt[end:])
    for bracket, factor in (("(", ROUND), ("[", SQUARE)):
        for since in opened[bracket]:
            weigh(since, factor)
    if not all(map(isfinite, weights)):
        raise SettingError(
            "got brackets in a prompt that multiply to no finite weight; wanted weights such as (word:1.3)"
        )
    return _sections([Piece(*pair) for pair in zip(texts, weights, strict=True)])


def _sections(pieces: list[Piece]) -> list[Section]:
    sections: list[Section] = [[]]
    for text, weight in pieces:
        for number, part in enumerate(STOP.split(text)):
            if number:
                sections.append([])
            last = sections[-1][-1] if sections[-1] else None
            if last is not None and (last.weight == weight or not part):
                sections[-1][-1] = Piece(last.text + part, last.weight)
            elif part:
                sections[-1].append(Piece(part, weight))
    if len(sections) > 1 and not sections[-1]:
        del sections[-1]  # a BREAK at the very end begins nothing
    return sections
