"""What a caption asks for and what a picture shows: solids with their colours, floor, sky and clothes."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.judge import Reading
from controlnet.shapes.palette import CLASSES, COLOURS, FLOORS, SKIES, SOLIDS

LEAST: Final = 25  # pixels of a 128×128 picture; smaller patches are not shown
SHARE: Final = 0.25  # of a connected region, from which on a second colour makes a second thing


class Attribute(NamedTuple):
    """One thing said: ("cube", "red"), ("floor", "sand"), ("shirt", "blue"), or a bare ("cube", "")."""

    part: str
    value: str = ""


_PATTERNS: Final = (
    rf"(?:(?P<colour>{'|'.join(COLOURS)}) )?(?P<solid>{'|'.join(SOLIDS)})s?",
    rf"(?P<floor>{'|'.join(FLOORS)}) floor",
    rf"(?P<sky>{'|'.join(SKIES)}) sky",
    rf"(?P<clothes>{'|'.join(COLOURS)}) (?P<garment>shirt|trousers)",
    r"(?P<person>person)",
)
_SAID: Final = re.compile(r"\b(?:" + "|".join(_PATTERNS) + r")\b")


def wanted(caption: str) -> list[Attribute]:
    """Read from a caption, in order, what it asks for in the world's vocabulary; other words are passed over.

    A person whose clothes are named is asked for by the clothes; a solid named twice is asked for twice.
    """
    found: list[Attribute] = []
    for said in _SAID.finditer(" ".join(caption.lower().split())):
        if said["solid"]:
            found.append(Attribute(said["solid"], said["colour"] or ""))
        elif said["clothes"]:
            found.append(Attribute(said["garment"], said["clothes"]))
        else:
            found += [Attribute(part, said[part]) for part in ("floor", "sky") if said[part]]
            found += [Attribute("person")] if said["person"] else []
    if any(attribute.part in ("shirt", "trousers") for attribute in found):
        found = [attribute for attribute in found if attribute.part != "person"]
    return found


def shown(reading: Reading) -> Counter[Attribute]:
    """Count what a picture shows, as the judge reads it.

    A solid is a connected region of its class of 25 pixels or more (of a 128×128 picture), with the colour of
    most of them; a region in which several colours have a quarter or more each is so many solids that touch.
    """
    least = max(1, round(LEAST * reading.classes.size / 128**2))
    found: Counter[Attribute] = Counter()
    for kind in SOLIDS:
        for region in _regions(reading.classes == CLASSES.index(kind), least):
            found[Attribute(kind)] += 1
            found.update(Attribute(kind, colour) for colour in _colours(reading.tints[region], least))
    if (reading.classes == CLASSES.index("floor")).sum() >= least:
        found[Attribute("floor", reading.floor)] += 1
    if (reading.classes == CLASSES.index("sky")).sum() >= least:
        found[Attribute("sky", reading.sky)] += 1
    found.update(_person(reading, least))
    return found


def missed(asked: Sequence[Attribute], reading: Reading) -> list[Attribute]:
    """List what is asked for and not shown; what is asked for twice must be shown twice."""
    return list((Counter(asked) - shown(reading)).elements())


def share_shown(pairs: Iterable[tuple[Sequence[Attribute], Reading]]) -> float:
    """Give the share of all attributes asked for that the pictures show; NaN where nothing is asked for."""
    asked = lacking = 0
    for attributes, reading in pairs:
        asked += len(attributes)
        lacking += len(missed(attributes, reading))
    return 1 - lacking / asked if asked else float("nan")


def _regions(mask: NDArray[np.bool_], least: int) -> list[NDArray[np.bool_]]:
    _, labels, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    sizes = facts[1:, cv2.CC_STAT_AREA]
    return [labels == number for number in 1 + np.flatnonzero(sizes >= least)]


def _colours(tints: NDArray[np.uint8], least: int) -> list[str]:
    """Name the colour of most pixels, and any second one that has a large share of them."""
    counts = np.bincount(tints, minlength=1 + len(COLOURS))[1:]
    enough = max(SHARE * len(tints), 1)
    named = [number for number in range(len(COLOURS)) if counts[number] >= enough and counts[number] >= least]
    return [list(COLOURS)[number] for number in named or [int(counts.argmax())]]


def _person(reading: Reading, least: int) -> list[Attribute]:
    """Tell a person and the colours of its clothes: of the two largest patches the shirt is the upper one."""
    body = reading.classes == CLASSES.index("person")
    if body.sum() < least:
        return []
    counts = np.bincount(reading.tints[body], minlength=1 + len(COLOURS))[1:]
    largest = [int(tint) for tint in np.argsort(-counts, kind="stable")[:2] if counts[tint] >= least]
    rows = np.nonzero(body)[0]
    heights = {tint: float(np.median(rows[reading.tints[body] == tint + 1])) for tint in largest}
    ordered = sorted(heights, key=heights.__getitem__)
    clothes = [("shirt", ordered[0]), ("trousers", ordered[-1])] if ordered else []
    return [Attribute("person"), *(Attribute(part, list(COLOURS)[tint]) for part, tint in clothes)]
