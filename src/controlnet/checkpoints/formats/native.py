"""The package's own format: one safetensors file with everything needed to rebuild the net without its base.

Its notes hold, under "controlnet", a JSON object: version of the format, backbone, settings, base (name,
fingerprint, configuration), and what the maker adds (plan, provenance). The tensors go by the names of the
ControlNet's own parts: copy.*, hint.*, zeros.*.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from controlnet.checkpoints.format import CheckpointFormat
from controlnet.checkpoints.io import Source, read_object, read_tensors, write_tensors
from controlnet.checkpoints.rebuild import fill, skeleton
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.errors import CheckpointError

_KEY = "controlnet"
_VERSION = 1


@final
class Native(CheckpointFormat):
    """One .safetensors file: any settings, any backbone."""

    title: ClassVar[str] = "controlnet, one file"

    def matches(self, source: Source) -> bool:
        """Tell by the note that only this format has."""
        return source.path == source.weights and _KEY in source.notes

    def read(self, source: Source) -> ControlNet:
        """Rebuild the network from its configuration, clone it, and fill the clone."""
        note = _note(source)
        try:
            base = note["base"]
            origin = Origin(str(base["name"]), dict(base["configuration"]), str(base["fingerprint"]))
            net = skeleton(note["backbone"], note["settings"], origin, source.path)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{source.path} has an incomplete description ({error!r}); wanted backbone, settings and "
                "base: copy it anew"
            ) from error
        return fill(net, read_tensors(source), source.path)

    def write(
        self, net: ControlNet, path: Path, metadata: Mapping[str, Any], dtype: torch.dtype | None
    ) -> None:
        """Write the net with its description."""
        if path.is_dir():
            raise CheckpointError(
                f"{path} is a folder; wanted a file name such as {path / 'net.safetensors'}"
            )
        note = {
            "format": _VERSION,
            "backbone": net.backbone.name,
            "settings": asdict(net.settings),
            "base": asdict(net.origin),
            "metadata": dict(metadata),
        }
        write_tensors(path, net.state_dict(), {_KEY: json.dumps(note, sort_keys=True)}, dtype)

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the note says."""
        note = _note(source)
        return {key: note.get(key, {}) for key in ("backbone", "settings", "base", "metadata")}


def _note(source: Source) -> dict[str, Any]:
    note = read_object(source.notes[_KEY], source.path)
    version = note.get("format")
    if not isinstance(version, int) or version > _VERSION:
        raise CheckpointError(
            f"{source.path} is of format version {version}; this release reads up to {_VERSION}: upgrade it"
        )
    return note
