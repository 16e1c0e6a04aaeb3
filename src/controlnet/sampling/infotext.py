"""Reading the settings that the web UI writes into its pictures: what can be followed, and what cannot."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

from controlnet.errors import UnknownName
from controlnet.sampling.enlarge import UPSCALERS, Upscaler
from controlnet.sampling.schedulers import sampler_name

_NEGATIVE: Final = "Negative prompt:"
_UNIT: Final = re.compile(r"ControlNet( \d+)?")
_ITSELF: Final = {"Version", "App", "User"}  # about the program, nothing to be followed


@final
@dataclass(frozen=True)
class Infotext:
    """Settings by the names of `Record`, and a sentence for everything that cannot be followed."""

    settings: dict[str, str | int | float]
    notes: tuple[str, ...]


def read_infotext(text: str) -> Infotext:
    """Read prompt, negative prompt and the line of settings that begins with "Steps:"."""
    lines = text.strip().split("\n")
    known = lines.pop() if re.match(r"\s*Steps: \d", lines[-1]) else ""
    begun = next((n for n, line in enumerate(lines) if line.startswith(_NEGATIVE)), len(lines))
    settings: dict[str, str | int | float] = {"prompt": "\n".join(lines[:begun]).strip()}
    negative = "\n".join(lines[begun:]).removeprefix(_NEGATIVE).strip()
    settings["negative_prompt"] = negative
    fields = dict(_pairs(known))
    notes: list[str] = []
    for key, name, kind in (
        ("Steps", "steps", int),
        ("CFG scale", "guidance_scale", float),
        ("Seed", "seed", int),
        ("Clip skip", "clip_skip", int),
        ("CFG rescale", "guidance_rescale", float),
    ):
        value = fields.pop(key, None)
        if value is None:
            continue
        try:
            settings[name] = kind(value)
        except ValueError:
            notes.append(f"{key} {value!r} is no number")
    _size(fields, settings)
    _sampler(fields, settings, notes)
    _hires(fields, settings, notes)
    notes += _left_out(fields)
    return Infotext(settings, tuple(notes))


def _size(fields: dict[str, str], settings: dict[str, str | int | float]) -> None:
    if match := re.fullmatch(r"(\d+)x(\d+)", fields.get("Size", "")):
        settings["width"], settings["height"] = int(match[1]), int(match[2])
        del fields["Size"]


def _sampler(fields: dict[str, str], settings: dict[str, str | int | float], notes: list[str]) -> None:
    """Find sampler and schedule type, which newer versions write apart."""
    name, spacing = fields.pop("Sampler", None), fields.pop("Schedule type", "Automatic")
    if name is None:
        return
    for wanted in dict.fromkeys((name if spacing == "Automatic" else f"{name} {spacing}", name)):
        try:
            settings["sampler"] = sampler_name(wanted)
            break
        except UnknownName as error:
            notes.append(str(error))


def _hires(fields: dict[str, str], settings: dict[str, str | int | float], notes: list[str]) -> None:
    """Read a second pass, whose strength stands under the name that picture to picture has."""
    try:
        scale = float(fields.get("Hires upscale", ""))
        strength = float(fields.get("Denoising strength", "0.7"))
    except ValueError:
        return
    settings |= {"hires": scale, "hires_strength": strength}
    name = fields.get("Hires upscaler", "Latent")
    known: dict[str, Upscaler] = {label.lower(): own for own, label in UPSCALERS.items()}
    if name.startswith("Latent"):
        settings["upscaler"] = "latent"
    elif name.lower() in known:
        settings["upscaler"] = known[name.lower()]
    else:
        notes.append(f"its second pass enlarged by {name}: lanczos takes its place")
    for key in ("Hires upscale", "Hires upscaler", "Denoising strength"):
        fields.pop(key, None)


def _left_out(fields: dict[str, str]) -> Iterator[str]:
    """Tell what no option answers to, or what only the user can supply."""
    model = ", ".join(fields.pop(key) for key in ("Model", "Model hash") if key in fields)
    if model:
        yield f"its model was {model}: --base says which one is used here"
    if strength := fields.pop("Denoising strength", None):
        yield f"its denoising strength, {strength}, wants the picture that it began from: --image, --strength"
    for key in [key for key in fields if _UNIT.fullmatch(key)]:
        yield _control(key, fields.pop(key))
    rest = [f"{key} {value}" for key, value in fields.items() if key not in _ITSELF]
    if rest:
        yield f"not followed: {'; '.join(rest)}"
    yield "the web UI draws its noise in another way unless told to use the CPU: expect another picture"


def _control(key: str, text: str) -> str:
    """Tell how to give a control again, whose picture is not in the file."""
    unit = dict(_pairs(text))
    mode = unit.get("Control Mode", "Balanced")
    named = {"BALANCED": "balanced", "PROMPT": "prompt", "CONTROL": "control"}
    told = {
        "weight": unit.get("Weight", "1"),
        "start": unit.get("Guidance Start", "0"),
        "end": unit.get("Guidance End", "1"),
        "mode": named.get(mode.removeprefix("ControlMode."), mode),
    }
    settings = ",".join(f"{name}={value}" for name, value in told.items())
    annotate = "" if unit.get("Module", "none").lower() == "none" else f" --annotate {unit['Module']}"
    which = unit.get("Model", "unknown")
    return f"{key} ({which}) is without its picture: --control NET=IMAGE,{settings}{annotate}"


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield "key: value" by "key: value" of a line; commas inside double quotes part nothing."""
    for piece in re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^",]|"(?!.*"))+', text):
        key, colon, value = piece.partition(":")
        if colon:
            yield key.strip(), _unquoted(value.strip())


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    try:
        return str(json.loads(value))
    except json.JSONDecodeError:
        return value
