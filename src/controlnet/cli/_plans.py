"""The plans that come with the project: beside the sources, or inside the installed package."""

from pathlib import Path
from typing import Final

from controlnet.errors import PlanError

_ROOT: Final = Path(__file__).resolve().parents[1]
PLACES: Final = (_ROOT / "plans", _ROOT.parents[1] / "plans")


def shipped_plan(name: str) -> Path:
    """Find a plan, or "studies/NAME", by its file's name without suffix; PlanError where there is none."""
    for place in PLACES:
        path = place / f"{name}.yaml"
        if path.is_file():
            return path
    raise PlanError(
        f"this installation has no plan {name!r}; give the path of a plan, or install from the sources"
    )
