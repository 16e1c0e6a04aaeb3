"""The tensors of diffusers' ControlNetModel in one file, without configuration: sizes come from shapes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing, wanted_file
from controlnet.checkpoints.io import Source, write_pieces
from controlnet.checkpoints.note import write_note
from controlnet.checkpoints.published import assemble, describe_control, laid_out, refuse_unusual
from controlnet.checkpoints.stored import Stored

_MARKER = "controlnet_cond_embedding.conv_in.weight"


@final
class DiffusersFile(CheckpointFormat):
    """What A1111 and ComfyUI call the diffusers layout."""

    title: ClassVar[str] = "diffusers names, one file"

    def matches(self, source: Source) -> bool:
        """Tell by the first convolution of the hint encoder, and a copied one."""
        return source.single and _MARKER in source.pieces and "conv_in.weight" in source.pieces

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Infer the network from the shapes."""
        return assemble(source, source.pieces, base)

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Write all tensors, with our note."""
        refuse_unusual(stored.net, "diffusers_file")
        wanted_file(path)
        write_pieces(path, laid_out(stored), write_note(stored.net, stored.metadata), how.dtype)
        return {}

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what shapes and note tell."""
        return describe_control(source, source.pieces)
