"""Plug-ins found by their file: `names`, `find`, `get("conditions", "canny(low=50)")`, `schema`, `near`.

A file without a leading underscore in one of a family's folders is a plug-in, and its name is the file's
name. It is imported only when it is asked for. What it offers is its one public class that is a subclass of
the family's abstract base. A third party's class is named by its address, "package.module:Class", and needs
no file here. A class may have `aliases`: other names, each with the text form of what it means, which may
carry settings: {"hed_safe": "softedge_hed(safe=True)"}.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from controlnet.errors import ControlNetError, SettingError, UnknownName
from controlnet.nearest import near, quoted, unknown

__all__ = ["aliases", "find", "get", "name_of", "names", "near", "parse", "schema"]

_ROOT = Path(__file__).parent
_SPEC = re.compile(r"\s*(?P<name>[\w.:-]+)\s*(?:\((?P<arguments>.*)\))?\s*", re.DOTALL)
_LONGEST_SPEC = 10_000  # the parser recurses: a text from the network must not exhaust the stack


@dataclass(frozen=True)
class _Family:
    """One kind of plug-in: the abstract base of its classes ("module:Class"), and where their files lie."""

    base: str
    noun: str
    packages: tuple[str, ...]


_FAMILIES = {
    "conditions": _Family(
        "controlnet.conditions._base:Condition",
        "condition",
        ("controlnet.conditions", "controlnet.shapes.conditions"),
    ),
    "captioners": _Family("controlnet.captioners._base:Captioner", "captioner", ("controlnet.captioners",)),
    "backbones": _Family("controlnet.core.backbone:Backbone", "backbone", ("controlnet.backbones",)),
    "formats": _Family(
        "controlnet.checkpoints.format:CheckpointFormat",
        "checkpoint format",
        ("controlnet.checkpoints.formats",),
    ),
    "metrics": _Family("controlnet.evaluation.metric:Metric", "metric", ("controlnet.evaluation.metrics",)),
}


def names(family: str) -> tuple[str, ...]:
    """Return the names of a family's plug-ins, sorted, without importing any.

    Raises UnknownName for a family that does not exist.
    """
    return tuple(sorted(name for package in _family(family).packages for name in _files(package)))


def name_of(family: str, kind: type[Any]) -> str:
    """Return the name by which `find` gets at a class: its file's, or its address for a third party's."""
    package, _, file = kind.__module__.rpartition(".")
    return file if package in _family(family).packages else f"{kind.__module__}:{kind.__qualname__}"


def aliases(family: str) -> dict[str, str]:
    """Return the other names of a family's plug-ins with the text form of what each means; imports them."""
    kind = _family(family)
    found: dict[str, str] = {}
    for plugin in names(family):
        others: Mapping[str, str] = getattr(_offered(kind, plugin), "aliases", {})
        found |= others
    return found


def find(family: str, name: str) -> type[Any]:
    """Return the class that answers to a plug-in's name, to one of its aliases, or to "package.module:Class".

    Raises UnknownName, which lists the near names, and SettingError for an address that does not lead to a
    class of this family.
    """
    return _resolved(family, name)[0]


def get(family: str, spec: str) -> Any:
    """Return an instance made from a text such as "canny(low=50, high=120)" or "canny".

    The arguments are literals given by keyword; nothing in the text is ever executed. An alias brings its own
    settings, and those of the text win over them. Raises UnknownName for a name that nobody answers to, and
    SettingError for a text that cannot be read or values that do not fit.
    """
    try:
        name, arguments = parse(spec)
    except SettingError:
        if spec not in aliases(family):  # some tools' labels hold signs that no name does
            raise
        name, arguments = spec, {}
    plugin, settings = _resolved(family, name)
    return _build(plugin, name, {**settings, **arguments})


def schema(family: str, name: str) -> dict[str, Any]:
    """Return the JSON schema of a plug-in's settings; SettingError where the plug-in has none."""
    plugin = find(family, name)
    describe = getattr(plugin, "model_json_schema", None)
    if describe is None:
        raise SettingError(f"{name} has no settings to describe; wanted a plug-in that is a pydantic model")
    return describe()


def parse(spec: str) -> tuple[str, dict[str, Any]]:
    """Split "canny(low=50, high=120)" into its name and a dictionary of literal arguments.

    Raises SettingError for anything else than a name and literals given by keyword.
    """
    wanted = 'wanted a name with literal settings, such as "canny(low=50, high=120)"'
    match = _SPEC.fullmatch(spec) if len(spec) <= _LONGEST_SPEC else None
    if match is None:
        raise SettingError(f"cannot read {quoted(spec)}; {wanted}")
    source = f"_({match['arguments'] or ''})"
    try:
        call = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise SettingError(f"cannot read {quoted(spec)}; {wanted}") from error
    # "a)(b" would parse as a call of a call, "a) + (b" as a sum: only one plain call is a settings list.
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise SettingError(f"cannot read {quoted(spec)}; {wanted}")
    if call.args:
        got = quoted(ast.get_source_segment(source, call.args[0]))
        raise SettingError(f"{quoted(spec)}: {got} has no name; write settings by name, such as low=50")
    arguments: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise SettingError(f"{quoted(spec)}: {keyword.arg or '**'} given twice or not at all; {wanted}")
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, MemoryError, RecursionError) as error:
            got = quoted(ast.get_source_segment(source, keyword.value))
            mend = "write a number, a quoted text, True, False or None"
            raise SettingError(f"{quoted(spec)}: {keyword.arg} is {got}, not a literal; {mend}") from error
    return match["name"], arguments


def _resolved(family: str, name: str) -> tuple[type[Any], dict[str, Any]]:
    """Return the class that a name means, and the settings that it brings if it is an alias."""
    kind = _family(family)
    if ":" in name:
        return _third_party(kind, name), {}
    known = names(family)
    if name in known:
        return _offered(kind, name), {}
    others = aliases(family)
    if name in others:
        plugin, settings = parse(others[name])
        return _offered(kind, plugin), settings
    raise UnknownName(unknown(kind.noun, name, (*known, *others)))


def _files(package: str) -> list[str]:
    folder = _ROOT.joinpath(*package.split(".")[1:])
    found = (module.name for module in pkgutil.iter_modules([str(folder)]))
    return [name for name in found if not name.startswith("_")]


def _family(family: str) -> _Family:
    if family not in _FAMILIES:
        raise UnknownName(unknown("family of plug-ins", family, _FAMILIES))
    return _FAMILIES[family]


def _offered(kind: _Family, name: str) -> type[Any]:
    """Return the one public class of a plug-in's file that derives from its family's base."""
    package = next((package for package in kind.packages if name in _files(package)), kind.packages[0])
    module = importlib.import_module(f"{package}.{name}")
    base = _load(kind.base)
    offered = [value for value in vars(module).values() if _is_offer(value, base, module)]
    if len(offered) != 1:
        got = ", ".join(value.__name__ for value in offered) or "none"
        wanted = f"one public, complete subclass of {base.__name__} in the file"
        raise ControlNetError(f"{module.__name__} offers {got}; wanted {wanted}")
    return offered[0]


def _is_offer(value: object, base: type[Any], module: ModuleType) -> bool:
    return (
        isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
        and not inspect.isabstract(value)
    )


def _third_party(kind: _Family, address: str) -> type[Any]:
    try:
        value = _load(address)
    except (ImportError, AttributeError, ValueError) as error:
        mend = "write the address of an installed class, such as package.module:Class"
        raise UnknownName(f"cannot import {quoted(address)} ({error}); {mend}") from error
    base = _load(kind.base)
    if not (isinstance(value, type) and issubclass(value, base) and not inspect.isabstract(value)):
        raise SettingError(f"{address} is not a {kind.noun}; wanted a complete subclass of {base.__name__}")
    return value


def _load(address: str) -> Any:
    module, _, attribute = address.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _build(plugin: type[Any], name: str, arguments: dict[str, Any]) -> Any:
    if hasattr(plugin, "model_validate"):
        from controlnet.fields import checked  # late: most plug-ins and the core need no pydantic

        return checked(plugin, arguments, name)
    try:
        inspect.signature(plugin).bind(**arguments)
    except TypeError as error:
        raise SettingError(f"{name}: {error}") from error
    return plugin(**arguments)
