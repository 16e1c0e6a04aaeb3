"""A1111's "difference": the copy as what differs from its base, in ldm's layout.

The tensor "difference" is the marker; hint encoder and zero convolutions are whole. Added to another base of
the same architecture it is a transfer. Differences in single precision give a control back to half a unit in
the last place of the base; in double precision (fp64) exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing, wanted_base, wanted_file
from controlnet.checkpoints.io import Source, write_pieces
from controlnet.checkpoints.ldm import PREFIX, control_of, is_ldm
from controlnet.checkpoints.note import write_note
from controlnet.checkpoints.published import (
    assemble,
    describe_control,
    laid_out,
    named_ldm,
    of_copy,
    refuse_unusual,
)
from controlnet.checkpoints.stored import Stored
from controlnet.tensorfiles.piece import Piece, combined, piece

_MARKER = "difference"


@final
class Difference(CheckpointFormat):
    """One file; needs the base."""

    title: ClassVar[str] = 'A1111 "difference" from a base'
    aliases: ClassVar[Mapping[str, str]] = {"diff": "difference"}
    needs_base: ClassVar[bool] = True

    def matches(self, source: Source) -> bool:
        """Tell by the marker."""
        return is_ldm(source, (_MARKER,))

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Add the base; tensors that are not in the file are the base's own."""
        base = wanted_base(base, str(source.path))
        control = control_of(source)
        found = dict(base.pieces) | {
            name: _sum(part, base.piece(name, part.shape)) if of_copy(name) else part
            for name, part in control.pieces.items()
        }
        stored = assemble(source, found, base, control.label)
        stored.net.origin = base.origin
        return stored

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Subtract the base; single precision on disk unless told."""
        refuse_unusual(stored.net, "difference")
        wanted_file(path)
        base = wanted_base(how.base, "this format")
        dtype = how.dtype or torch.float32
        narrow = None if dtype == torch.float64 else how.dtype  # what is whole needs no more than its own
        found = {
            name: combined([part, base.piece(name, part.shape)], [1, -1], dtype)
            if of_copy(name)
            else part.to(narrow or part.dtype)
            for name, part in laid_out(stored).items()
        }
        named = {f"{PREFIX}{name}": part for name, part in named_ldm(found).items()}
        named[_MARKER] = piece(torch.ones(1, dtype=narrow))
        write_pieces(path, named, write_note(stored.net, stored.metadata))
        return {}

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what shapes and note tell."""
        return describe_control(source, control_of(source).pieces)


def _sum(part: Piece, base: Piece) -> Piece:
    exact = part.dtype == torch.float64  # of numbers that had at most single precision
    return combined(
        [base, part], [1, 1], torch.float32 if exact else torch.promote_types(part.dtype, base.dtype)
    )
