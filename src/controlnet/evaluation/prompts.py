"""The prompt settings of the ControlNet paper: what is asked for beside the control (sec. 4.2)."""

from collections.abc import Callable, Sequence
from typing import Final

from controlnet.errors import UnknownName
from controlnet.nearest import unknown

INSUFFICIENT: Final = "a high-quality, detailed, and professional image"
NEIGHBOURS: Final = 8  # examples among which the one that has least in common is looked for

SETTINGS: Final = {
    "none": "no prompt: the control alone has to tell",
    "insufficient": f"a prompt that names nothing: “{INSUFFICIENT}”",
    "conflicting": "another example's caption, of the next eight the least like its own",
    "perfect": "the example's own caption",
}


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """Return prompt settings, each once; UnknownName for others than the four."""
    for name in names:
        if name not in SETTINGS:
            raise UnknownName(unknown("prompt setting", name, SETTINGS))
    return tuple(dict.fromkeys(names))


def prompt_of(setting: str, index: int, total: int, caption: Callable[[int], str]) -> str:
    """Return the prompt of an example under a setting.

    caption: gives the caption of each of the data set's `total` examples, whether they are evaluated or not,
    so that a conflicting prompt does not depend on how many are.
    """
    if setting == "none":
        return ""
    if setting == "insufficient":
        return INSUFFICIENT
    own = caption(index)
    if setting == "perfect":
        return own
    others = [caption((index + step) % total) for step in range(1, min(NEIGHBOURS, total - 1) + 1)]
    return min(others, key=lambda other: _common(own, other)) if others else own


def _common(one: str, other: str) -> float:
    a, b = (set(text.lower().replace(",", " ").split()) for text in (one, other))
    return len(a & b) / max(len(a | b), 1)
