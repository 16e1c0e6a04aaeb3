"""The note that travels with every weight file we write: what tensors cannot tell.

It stands in the text metadata of the safetensors file, under "controlnet", as a JSON object: version,
backbone, settings, base (name, fingerprint, configuration), and what the maker adds (plan, provenance). Other
programs pass it over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from controlnet.checkpoints.io import Source, read_object
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.errors import CheckpointError

KEY: Final = "controlnet"
_VERSION: Final = 1


def write_note(net: ControlNet, metadata: Mapping[str, Any]) -> dict[str, str]:
    """Write down a ControlNet and what its maker adds."""
    note = {
        "format": _VERSION,
        "backbone": net.backbone.name,
        "settings": asdict(net.settings),
        "base": asdict(net.origin),
        "metadata": dict(metadata),
    }
    return {KEY: json.dumps(note, sort_keys=True)}


def read_note(source: Source) -> dict[str, Any]:
    """Return the note, empty where there is none; CheckpointError for a broken or a later one."""
    if KEY not in source.notes:
        return {}
    note = read_object(source.notes[KEY], source.path)
    version = note.get("format", _VERSION)
    if not isinstance(version, int) or version > _VERSION:
        raise CheckpointError(
            f"{source.path} is of format version {version}; this release reads up to {_VERSION}: upgrade it"
        )
    return note


def origin_of(note: Mapping[str, Any]) -> Origin:
    """Return the base that a note names; nothing is known where it names none."""
    base = note.get("base")
    base = base if isinstance(base, dict) else {}
    configuration = base.get("configuration")
    return Origin(
        str(base.get("name", "")),
        dict(configuration) if isinstance(configuration, dict) else {},
        str(base.get("fingerprint", "")),
        str(base.get("decoder", "")),
    )


def metadata_of(note: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the maker added."""
    found = note.get("metadata")
    return found if isinstance(found, dict) else {}
