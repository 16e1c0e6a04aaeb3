"""The package's own format: one safetensors file with everything needed to rebuild the net without its base.

What it is stands in its note (see `note`). The tensors go by the names of the ControlNet's own parts: copy.*,
hint.*, zeros.*.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing, wanted_file
from controlnet.checkpoints.io import Source, write_pieces
from controlnet.checkpoints.note import KEY, metadata_of, read_note, write_note
from controlnet.checkpoints.rebuild import skeleton
from controlnet.checkpoints.stored import Stored
from controlnet.core.controlnet import Origin
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.match import matched

_PARTS = ("copy.", "hint.", "zeros.")


@final
class Native(CheckpointFormat):
    """One .safetensors file: any settings, any backbone."""

    title: ClassVar[str] = "controlnet, one file"

    def matches(self, source: Source) -> bool:
        """Tell by the note, and by the names that only this format has."""
        return (
            source.single and KEY in source.notes and any(name.startswith(_PARTS) for name in source.pieces)
        )

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Rebuild the network from its configuration, and clone it."""
        note = read_note(source)
        try:
            told = note["base"]
            known = str(told["name"]), dict(told["configuration"]), str(told["fingerprint"])
            origin = Origin(*known, str(told.get("decoder", "")))
            net = skeleton(note["backbone"], note["settings"], origin, source.path)
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(
                f"{source.path} has an incomplete description ({error!r}); wanted backbone, settings and "
                "base: copy it anew"
            ) from error
        pieces = matched(net, source.pieces, {name: name for name in net.state_dict()}, source.path)
        return Stored(net, pieces, metadata_of(note))

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Write the net with its description."""
        wanted_file(path)
        write_pieces(path, stored.pieces, write_note(stored.net, stored.metadata), how.dtype)
        return {}

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what the note says."""
        note = read_note(source)
        return {key: note.get(key, {}) for key in ("backbone", "settings", "base", "metadata")}
