"""Names as clients write them, of models, preprocessors, samplers, modes: found, or refused by field."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from controlnet.conditions._image import Fit
from controlnet.errors import SettingError, UnknownName
from controlnet.nearest import unknown
from controlnet.registry import aliases, find, names, parse
from controlnet.service import Catalog, Model

NONE: Final = ("", "none")
_FITS: Final[dict[str, Fit]] = {
    **dict.fromkeys(("just resize", "resize", "0"), "stretch"),
    **dict.fromkeys(("crop and resize", "scale to fit (inner fit)", "inner fit (scale to fit)", "1"), "crop"),
    **dict.fromkeys(("resize and fill", "envelope (outer fit)", "outer fit (shrink to fit)", "2"), "fill"),
}
_MODES: Final = {
    **{"balanced": "balanced", "0": "balanced"},
    **{"my prompt is more important": "prompt", "1": "prompt"},
    **{"controlnet is more important": "control", "2": "control"},
}
_AUTOMATIC: Final = ("", "automatic", "none", "use same scheduler")


def pick(field: str, noun: str, name: str, known: Iterable[str]) -> str:
    """Find a name: as it is, in lower case, else the shortest that contains it; else UnknownName."""
    listed = list(known)
    if name in listed:
        return name
    lower = {own.lower(): own for own in listed}
    wanted = name.lower().strip()
    if wanted in lower:
        return lower[wanted]
    containing = sorted((own for own in lower if wanted and wanted in own), key=lambda own: (len(own), own))
    if containing:
        return lower[containing[0]]
    raise UnknownName(f"{field}: {unknown(noun, name, listed)}")


def control_model(field: str, name: str, catalog: Catalog) -> Model:
    """Find a ControlNet by its title, with or without the hash."""
    titles = {model.title: model for model in catalog.controls}
    plain = {model.name: model for model in catalog.controls}
    head = name.rpartition(" [")[0] if name.endswith("]") and " [" in name else name
    if name not in titles and head in plain:
        return plain[head]
    return (titles | plain)[pick(field, "ControlNet", head, [*plain, *titles])]


def base_model(field: str, name: str, catalog: Catalog) -> Model:
    """Find a base by its title, its name or its hash."""
    known = {key: model for model in catalog.bases for key in (model.title, model.name, model.hash)}
    return known[pick(field, "base", name, known)]


@cache
def modules() -> tuple[str, ...]:
    """Return all preprocessors: conditions by their names here and by those of other tools."""
    return tuple(sorted({*names("conditions"), *aliases("conditions")}))


def module(field: str, name: str) -> str | None:
    """Find a preprocessor; None for none."""
    return None if name.lower().strip() in NONE else pick(field, "preprocessor", name, modules())


@cache
def thresholds(name: str) -> tuple[tuple[str, Any], ...]:
    """Return up to two numeric settings of a preprocessor with their declarations: threshold a and b."""
    kind = find("conditions", name)
    numeric = [
        (key, field)
        for key, field in kind.model_fields.items()
        if key not in ("resolution", "seed") and field.annotation in (int, float)
    ]
    return tuple(numeric[:2])


def bounds(field: Any) -> tuple[float, float]:
    """Return the least and the largest value that a declaration lets pass."""
    least = [getattr(rule, key) for rule in field.metadata for key in ("ge", "gt") if hasattr(rule, key)]
    most = [getattr(rule, key) for rule in field.metadata for key in ("le", "lt") if hasattr(rule, key)]
    return (least[0] if least else 0), (most[0] if most else 100)


def annotator(name: str, resolution: float, values: Sequence[float], fields: Sequence[str]) -> str:
    """Write a condition's text form from a preprocessor's name and numbers, of which -1 is its own.

    Raises SettingError, which names the field, for numbers out of range.
    """
    settings: dict[str, Any] = {}
    text = aliases("conditions").get(name, name)
    plugin, own = parse(text)
    if resolution not in (-1, 0):
        if not 64 <= resolution <= 2048 or resolution != int(resolution):
            raise SettingError(f"{fields[0]} is {resolution:g}; wanted 64 to 2048, or -1")
        settings["resolution"] = int(resolution)
    declared = thresholds(name)  # at most as many as there are values
    many = len(declared)
    for (key, field), value, told in zip(declared, values[:many], fields[1 : 1 + many], strict=True):
        if value == -1:
            continue
        least, most = bounds(field)
        if not least <= value <= most:
            raise SettingError(f"{told} is {value:g}; wanted {least:g} to {most:g} ({key} of {name}), or -1")
        settings[key] = round(value) if field.annotation is int else float(value)
    arguments = ", ".join(f"{key}={value!r}" for key, value in {**own, **settings}.items())
    return f"{plugin}({arguments})" if arguments else plugin


def fit_of(field: str, value: str | int) -> Fit:
    """Find how a picture is brought to its size."""
    found = _FITS.get(str(value).lower().strip())
    if found is None:
        raise UnknownName(f"{field}: {unknown('resize mode', str(value), _FITS)}")
    return found


def mode_named(field: str, value: str | int) -> str:
    """Find a control mode."""
    found = _MODES.get(str(value).lower().strip().removeprefix("controlmode."))
    if found is None:
        raise UnknownName(f"{field}: {unknown('control mode', str(value), _MODES)}")
    return found


def sampler(name: str, scheduler: str) -> str:
    """Find a sampler by the web UI's name and scheduler, such as "DPM++ 2M" and "Karras"."""
    from controlnet.sampling import sampler_name

    try:
        if scheduler.lower().strip() in _AUTOMATIC:
            return sampler_name(name)
        own = sampler_name(name)
        return own if own.endswith(f" {scheduler.lower()}") else sampler_name(f"{name} {scheduler}")
    except UnknownName as error:
        raise UnknownName(f"sampler_name, scheduler: {error}") from error
