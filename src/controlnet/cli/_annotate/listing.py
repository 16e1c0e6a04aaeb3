"""`controlnet annotate --list`: every condition, for a person or as JSON."""

from typing import TYPE_CHECKING, Any, get_args

from controlnet import registry
from controlnet.cli._annotate.needs import found_at
from controlnet.conditions import conditions

if TYPE_CHECKING:
    from controlnet.conditions._base import Condition


def described() -> dict[str, dict[str, Any]]:
    """Return what each condition says of itself, by name: texts, other names, weights, schema of settings."""
    return {name: _facts(registry.find("conditions", name)) for name in conditions()}


def listed() -> str:
    """Return all conditions by family, with licence, weights and settings, for a person to read."""
    from controlnet.conditions._base import Family

    facts = described()
    lines: list[str] = []
    for family in get_args(Family):
        members = {name: told for name, told in facts.items() if told["family"] == family}
        if members:
            lines += ["", family.upper(), ""]
        for name, told in members.items():
            lines += _lines(name, told)
    return "\n".join(lines[1:])


def _facts(kind: "type[Condition]") -> dict[str, Any]:
    weights = [
        {
            "name": one.name,
            "repo": one.repo,
            "megabytes": one.megabytes,
            "licence": one.licence,
            "here": found_at(one) is not None,
            "stand_in": one.stand_in,
        }
        for one in kind.weights
    ]
    return {
        "title": kind.title,
        "family": kind.family,
        "paper": kind.paper,
        "licence": kind.licence,
        "aliases": dict(kind.aliases),
        "label_map": kind.label_map,
        "weights": weights,
        "schema": kind.model_json_schema(),
    }


def _lines(name: str, told: dict[str, Any]) -> list[str]:
    lines = [f"{name}: {told['title']}"]
    if told["aliases"]:
        lines.append(f"  also called {', '.join(told['aliases'])}")
    lines.append(f"  licence: {told['licence']}")
    for one in told["weights"]:
        where = "here" if one["here"] else f"not here: controlnet weights fetch {one['name']}"
        lines.append(f"  weights: {one['name']}, {one['megabytes']:g} MB, {one['licence']} ({where})")
    return lines + [_setting(field, facts) for field, facts in told["schema"]["properties"].items()]


def _setting(field: str, facts: dict[str, Any]) -> str:
    options = facts.get("anyOf", [facts])
    number = next((option for option in options if "minimum" in option), {})
    words = next((option["enum"] for option in options if "enum" in option), ())
    bounds = f", {number['minimum']:g} to {number['maximum']:g}" if "maximum" in number else ""
    bounds += f", one of {', '.join(map(str, words))}" if words else ""
    return f"  {field} = {facts.get('default')}{bounds}: {facts.get('description', '')}"
