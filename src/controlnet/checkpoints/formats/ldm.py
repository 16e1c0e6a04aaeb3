"""The layout of the original code, which A1111 and ComfyUI read: the control alone, or a whole checkpoint.

The control's names stand bare or under "control_model."; in a whole checkpoint the base, the autoencoder and
the text encoder stand beside them, of which nothing is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing, wanted_file
from controlnet.checkpoints.io import Source, write_pieces
from controlnet.checkpoints.ldm import control_of, is_ldm
from controlnet.checkpoints.note import write_note
from controlnet.checkpoints.published import assemble, describe_control, laid_out, named_ldm, refuse_unusual
from controlnet.checkpoints.stored import Stored


@final
class Ldm(CheckpointFormat):
    """One file, the names as the original code gives them."""

    title: ClassVar[str] = "ldm: original code, A1111, ComfyUI"
    aliases: ClassVar[Mapping[str, str]] = dict.fromkeys(("cldm", "webui", "a1111", "comfyui"), "ldm")

    def matches(self, source: Source) -> bool:
        """Tell by the hint encoder, and the absence of the markers of its relatives."""
        return is_ldm(source, ())

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Infer the network from the shapes."""
        control = control_of(source)
        return assemble(source, control.pieces, base, control.label)

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Write the control alone, its names bare: what all readers of this layout take."""
        refuse_unusual(stored.net, "ldm")
        wanted_file(path)
        write_pieces(path, named_ldm(laid_out(stored)), write_note(stored.net, stored.metadata), how.dtype)
        return {}

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what shapes and note tell."""
        return describe_control(source, control_of(source).pieces)
