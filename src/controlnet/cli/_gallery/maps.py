"""Every condition tried on the pictures that suit it; what cannot be shown is kept, with its reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import get_args

from controlnet.cli._gallery.subjects import Group, Groups
from controlnet.conditions import condition
from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.errors import ControlNetError, MissingWeights


@dataclass(frozen=True)
class Shown:
    """One condition with the pictures that it was tried on: their maps, or why there are none."""

    detector: Condition
    group: Group
    maps: list[Pixels] = field(default_factory=list)
    absent: str = ""
    """Where weights are not on this machine: what to do about it."""
    failed: str = ""
    """Where something else is in the way: what it is."""

    @property
    def name(self) -> str:
        """The condition with its settings."""
        return str(self.detector)


def show_all(specs: Sequence[str], groups: Groups, advance: Callable[[int], None]) -> list[Shown]:
    """Make all maps, family by family; advance is told each condition.

    Raises what `condition` raises for a text that it does not understand.
    """
    order = get_args(Family)
    detectors = sorted(map(condition, specs), key=lambda found: (order.index(found.family), str(found)))
    shown: list[Shown] = []
    for detector in detectors:
        shown.append(_show(detector, _suiting(detector, groups)))
        advance(1)
    return shown


def _suiting(detector: Condition, groups: Groups) -> Group:
    """Tell on which pictures a condition makes sense."""
    if detector.family == "embedded world":
        return groups.scenes
    return groups.depths if detector.name().endswith("_from_depth") else groups.pictures


def _show(detector: Condition, group: Group) -> Shown:
    try:
        return Shown(detector, group, [detector(subject.pixels) for subject in group.subjects])
    except MissingWeights as error:
        return Shown(detector, group, absent=str(error))
    except ControlNetError as error:
        return Shown(detector, group, failed=str(error))
