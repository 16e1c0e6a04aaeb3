"""Which weight files conditions and metrics need, by name."""

from collections.abc import Iterable
from pathlib import Path

from controlnet import registry
from controlnet.conditions._weights import Weights
from controlnet.errors import MissingWeights, SettingError, UnknownName
from controlnet.nearest import unknown


def needs() -> dict[str, Weights]:
    """Return every weight file that some condition or metric needs, by its name, sorted."""
    found = {one.name: one for kind, name in _plugins() for one in registry.find(kind, name).weights}
    return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def used_by(weights: str) -> list[str]:
    """Return the names of the conditions and metrics that need a weight file."""
    return [
        name
        for kind, name in _plugins()
        if any(one.name == weights for one in registry.find(kind, name).weights)
    ]


def _plugins() -> list[tuple[str, str]]:
    return [(kind, name) for kind in ("conditions", "metrics") for name in registry.names(kind)]


def found_at(weights: Weights) -> Path | None:
    """Return where a weight file is on this machine, or None."""
    try:
        return weights.find()
    except MissingWeights:
        return None


def wanted(names: Iterable[str]) -> list[Weights]:
    """Return the weight files that names mean, each once.

    A name is a file's, with or without its suffix, a repository's, a condition's or a metric's. Raises
    UnknownName, which lists near ones, and SettingError for a condition or metric that needs no weights.
    """
    known = needs()
    found = {one.name: one for name in names for one in _meant(name, known)}
    return list(found.values())


def _meant(name: str, known: dict[str, Weights]) -> tuple[Weights, ...]:
    for key, one in known.items():
        if name in (key, Path(key).stem, one.repo if one.file is None else None):
            return (one,)
    kind = "metrics" if name in registry.names("metrics") else "conditions"
    try:
        weights: tuple[Weights, ...] = registry.find(kind, registry.parse(name)[0]).weights
    except SettingError as error:
        others = [plugin for _, plugin in _plugins()]
        raise UnknownName(unknown("weight file, condition or metric", name, (*known, *others))) from error
    if not weights:
        raise SettingError(f"{name} needs no weights; `controlnet weights list` shows what others need")
    return weights
