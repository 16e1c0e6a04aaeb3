"""From a description to a ControlNet: built without weights, and fitted to a base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from controlnet.core.backbone import Backbone, Locked, resolve
from controlnet.core.controlnet import ControlNet, ControlSettings, Origin
from controlnet.errors import CheckpointError
from controlnet.registry import find, names
from controlnet.tensorfiles.match import differences

_MOST_LAYERS: Final = 64  # of a level, or levels, or transformer blocks
_MOST_CHANNELS: Final = 2**20


def skeleton(backbone: str, settings: Mapping[str, Any], origin: Origin, path: Path) -> ControlNet:
    """Build a ControlNet without weights as a checkpoint describes it; CheckpointError if that is no network.

    Only this package's own backbones are looked up: a file must not name code to import.
    """
    try:
        if backbone not in names("backbones"):
            raise CheckpointError(f"the backbone {backbone!r} is none of {', '.join(names('backbones'))}")
        _within_reason(origin.configuration, settings)
        family: Backbone = find("backbones", backbone)()
        widths = {"hint_widths": tuple(settings["hint_widths"])} if "hint_widths" in settings else {}
        chosen = ControlSettings(**{**settings, **widths})
        with torch.device("meta"):  # nothing is drawn: loading leaves the random numbers as they were
            return _unfilled(family, chosen, origin)
    except Exception as error:  # a foreign description can be wrong in any way
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(
            f"{path} describes no network that can be built ({first}); wanted a checkpoint of this release "
            "or an older one: upgrade, or copy it anew"
        ) from error


def _unfilled(backbone: Backbone, settings: ControlSettings, origin: Origin) -> ControlNet:
    """Build a ControlNet whose tensors have shapes and no more."""
    copy = backbone.blank(origin.configuration)
    taps = backbone.taps(copy)
    return ControlNet(
        copy if settings.copy == "full" else backbone.lite(copy), taps, backbone, settings, origin
    )


def _within_reason(*descriptions: Mapping[str, Any]) -> None:
    """Refuse a description whose network would take hours to build; only the building is guarded here."""
    for key, value in ((k, v) for description in descriptions for k, v in description.items()):
        numbers = list(_numbers(value))
        most = _MOST_LAYERS if "layers" in key else _MOST_CHANNELS
        if len(numbers) > _MOST_LAYERS or any(abs(number) > most for number in numbers):
            raise CheckpointError(f"{key} is {str(value)[:60]}, beyond all that is known")


def _numbers(value: Any) -> Iterator[int]:
    """Yield the whole numbers of nested lists."""
    for entry in value if isinstance(value, list | tuple) else (value,):
        if isinstance(entry, list | tuple):
            yield from _numbers(entry)
        elif isinstance(entry, int):
            yield entry


def fit(net: ControlNet, base: Locked | nn.Module, path: Path) -> nn.Module:
    """See that a ControlNet suits a base, and return the base's network; CheckpointError names both."""
    network, backbone = resolve(base)
    name = getattr(base, "name", type(network).__name__)
    described = backbone.describe(network)
    if backbone.name == net.backbone.name and described == net.origin.configuration:
        return network
    with torch.device("meta"):
        like = _unfilled(backbone, net.settings, Origin(net.origin.name, described))
    problems = differences(_shapes(like), _shapes(net))
    if problems:
        made = f"for the base {net.origin.name!r}" if net.origin.name else "for another kind of base"
        raise CheckpointError(
            f"{path} was made {made}; got the base {name!r}, which it does not fit: {problems}; use a base "
            "of the same architecture"
        )
    return network


def _shapes(net: ControlNet) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
