"""Weights by tap: one's own, or a law of soft weights that leaves more to the prompt.

As text, for command lines and files: `middle:1.5|skip0:0` by name, or `0.1|0.2|…`, one for each tap.
"""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final, Literal, get_args

from controlnet.core.backbone import Tap
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import quoted, unknown

Law = Literal["cldm", "diffusers", "paper"]
TapWeights = Mapping[str, float] | Sequence[float]

LAWS: Final[tuple[Law, ...]] = get_args(Law)
FORM: Final = "tap:weight|tap:weight…, such as middle:1.5|skip0:0, or one number for each tap, 0.1|0.2|…"


def soft_weights(taps: Sequence[Tap], law: Law = "cldm") -> tuple[float, ...]:
    """Give a factor for each tap that leaves more to the prompt; the middle comes last.

    "cldm": 0.825^(n-i) for i = 0..n, of the published code; n = 12 in Stable Diffusion, and the count of taps
    less one elsewhere, so that the middle always has 1. "diffusers": logspace(-1, 0, n+1), its guess mode.
    "paper": 64/h_i as written in section 3.4 (CFG resolution weighting), h_i from 64 to 8, about eight times
    "cldm". Three different laws: never mixed.
    """
    last = len(taps) - 1
    if law == "cldm":
        return tuple(0.825 ** (last - i) for i in range(last + 1))
    if law == "diffusers":
        return tuple(10.0 ** (i / max(last, 1) - 1.0) for i in range(last + 1))
    if law == "paper":
        return tuple(float(tap.stride) for tap in taps)
    raise UnknownName(unknown("law of soft weights", law, LAWS))


def weights_of(taps: Sequence[Tap], given: TapWeights) -> tuple[float, ...]:
    """Give a factor for each tap from a mapping by name, 1 where it says nothing, or a sequence for all.

    Raises UnknownName for a name that no tap has, SettingError for another count or for no finite number.
    """
    names = [tap.name for tap in taps]
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                raise UnknownName(unknown("tap", name, names))
        found = tuple(float(given.get(name, 1.0)) for name in names)
    else:
        found = tuple(map(float, given))
    if len(found) != len(names) or not all(map(isfinite, found)):
        raise SettingError(
            f"got weights by tap {quoted(given)}; wanted {len(names)} finite numbers, skips first and the "
            "middle last, or some by name: {'middle': 1.5}"
        )
    return found


def parse_taps(text: str) -> dict[str, float] | tuple[float, ...]:
    """Read the text form of weights by tap; SettingError for another one, or for a tap that comes twice."""
    pieces = [piece.strip() for piece in text.split("|")]
    try:
        if not any(":" in piece for piece in pieces):
            return tuple(map(float, pieces))
        found: dict[str, float] = {}
        for piece in pieces:
            name, _, weight = (part.strip() for part in piece.partition(":"))
            if name in found:
                raise SettingError(f"got weights by tap {quoted(text)}, {name} twice; wanted {FORM}")
            found[name] = float(weight)
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"got weights by tap {quoted(text)}; wanted {FORM}") from error
    return found
