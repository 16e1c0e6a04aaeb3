"""The text form of a control on the command line: NET=IMAGE[,weight=.8,start=0,end=1,mode=prompt]."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import quoted, unknown

FORM: Final = "NET=IMAGE[,weight=.8,start=0,end=1,mode=balanced,mask=MASK]"
NUMBERS: Final = ("weight", "start", "end")
TEXTS: Final = ("mode", "mask")
_OPTION: Final = re.compile(r"\s*(?P<key>\w+)\s*=\s*(?P<value>[^,]*?)\s*")


@dataclass(frozen=True)
class ControlText:
    """One --control, read but not yet loaded; net is a name or a path, image a path."""

    net: str
    image: Path
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mode: str = "balanced"
    mask: Path | None = None


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
        weight=_number(text, options, "weight", 1.0),
        start=_number(text, options, "start", 0.0),
        end=_number(text, options, "end", 1.0),
        mode=options.get("mode", "balanced"),
        mask=Path(options["mask"]) if "mask" in options else None,
    )


def _number(text: str, options: dict[str, str], key: str, default: float) -> float:
    given = options.get(key)
    if given is None:
        return default
    try:
        return float(given)
    except ValueError as error:
        raise SettingError(f"--control {quoted(text)}: {key} is {quoted(given)}; wanted a number") from error
