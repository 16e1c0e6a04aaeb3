"""The text form of a control on the command line: NET=IMAGE[,weight=.8,start=0,end=1,mode=prompt …]."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import quoted, unknown

FORM: Final = "NET=IMAGE[,weight=.8,start=0,end=1,mode=balanced,mask=MASK]"
NUMBERS: Final = ("start", "end")
TEXTS: Final = ("weight", "mode", "mask", "rule", "law", "taps")
_OPTION: Final = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>[^,]*?)\s*")


@dataclass(frozen=True)
class ControlText:
    """One --control, read but not yet loaded; net is a name or a path, image a path.

    weight, mode, rule, law and taps are text that the library reads. map: what an annotator made of the image
    before, to be used again.
    """

    net: str
    image: Path
    weight: str = "1"
    start: float = 0.0
    end: float = 1.0
    mode: str = "balanced"
    mask: Path | None = None
    rule: str | None = None
    law: str | None = None
    taps: str | None = None
    map: Path | None = None


def read_control(text: str) -> ControlText:
    """Read one --control; the image's path may hold commas, as settings are read from the end.

    Raises SettingError for a text of another form or a value that is no number, UnknownName for other
    settings.
    """
    net, equals, rest = text.partition("=")
    pieces = rest.split(",")
    options: dict[str, str] = {}
    while len(pieces) > 1 and (match := _OPTION.fullmatch(pieces[-1])):
        key = match["key"]
        if key not in (*NUMBERS, *TEXTS):
            raise UnknownName(f"--control {quoted(text)}: {unknown('setting', key, (*NUMBERS, *TEXTS))}")
        if key in options:
            raise SettingError(f"--control {quoted(text)}: {key} is given twice; wanted {FORM}")
        options[key] = match["value"]
        pieces.pop()
    image = ",".join(pieces)
    if not equals or not net.strip() or not image.strip():
        raise SettingError(f"--control {quoted(text)}: wanted {FORM}, such as canny=edges.png")
    return ControlText(
        net.strip(),
        Path(image),
        weight=options.get("weight", "1"),
        start=_number(text, options, "start", 0.0),
        end=_number(text, options, "end", 1.0),
        mode=options.get("mode", "balanced"),
        mask=Path(options["mask"]) if "mask" in options else None,
        rule=options.get("rule"),
        law=options.get("law"),
        taps=options.get("taps"),
    )


def paired(given: Sequence[str | None], controls: int) -> list[str | None]:
    """Pair annotators with controls, in order; "none" leaves a picture as it is.

    Raises SettingError where there are some, but not one for each.
    """
    if given and len(given) != controls:
        raise SettingError(
            f"got {len(given)} --annotate for {controls} --control; wanted one for each, in order: "
            '"none" for a picture that is a map already'
        )
    return [None if text == "none" else text for text in given] or [None] * controls


def _number(text: str, options: dict[str, str], key: str, default: float) -> float:
    given = options.get(key)
    if given is None:
        return default
    try:
        return float(given)
    except ValueError as error:
        raise SettingError(f"--control {quoted(text)}: {key} is {quoted(given)}; wanted a number") from error
