"""Control-LoRA: the copy's matrices as the base's plus a product of two narrow ones.

weight = base + up·down, with up (out, r) and down (r, in), for convolutions (out, r, 1, 1) and (r, in, k, k).
Norms, biases, hint encoder and zero convolutions are whole. In ldm's layout, which is written, the marker is
"lora_controlnet", an empty tensor; a folder of peft around diffusers' ControlNetModel is read as well (see
`peft`). Sources: Stability AI's Control-LoRAs, as ComfyUI reads them; ControlLoRA version 3.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import torch

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.format import CheckpointFormat, Writing, wanted_base, wanted_file
from controlnet.checkpoints.io import Source, write_pieces
from controlnet.checkpoints.keys import to_diffusers
from controlnet.checkpoints.ldm import control_of, is_ldm
from controlnet.checkpoints.lowrank import Extraction, merged
from controlnet.checkpoints.note import write_note
from controlnet.checkpoints.peft import PREFIX, control_pieces, is_control
from controlnet.checkpoints.published import (
    assemble,
    describe_control,
    laid_out,
    named_ldm,
    of_copy,
    refuse_unusual,
)
from controlnet.checkpoints.stored import Stored
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece, piece

_MARKER = "lora_controlnet"


@final
class ControlLora(CheckpointFormat):
    """One small file; needs the base."""

    title: ClassVar[str] = "Control-LoRA"
    aliases: ClassVar[Mapping[str, str]] = {"control-lora": "control_lora"}
    needs_base: ClassVar[bool] = True

    def matches(self, source: Source) -> bool:
        """Tell by the marker, or by a hint encoder among the names of peft."""
        return is_ldm(source, (_MARKER,)) or is_control(source)

    def read(self, source: Source, base: BaseWeights | None) -> Stored:
        """Merge the factors into the base's matrices; tensors that are not in the file are the base's own."""
        base = wanted_base(base, str(source.path))
        pieces, label = _opened(source)
        found = dict(base.pieces) | _merged(source, pieces, base)
        stored = assemble(source, found, base, label)
        stored.net.origin = base.origin
        modules = {own: their.removesuffix(".weight") for own, their in to_diffusers(stored.net).items()}
        factors = {
            own: (pieces[f"{module}.up"], pieces[f"{module}.down"])
            for own, module in modules.items()
            if f"{module}.up" in pieces
        }
        return replace(stored, factors=factors)

    def write(self, stored: Stored, path: Path, how: Writing) -> Mapping[str, Any]:
        """Extract factors of a rank; a matrix that they would not make smaller stays whole.

        Returns the rank, and the part of the difference from the base that is lost.
        """
        refuse_unusual(stored.net, "control_lora")
        wanted_file(path)
        base = wanted_base(how.base, "this format")
        extraction = Extraction(how.rank, how.dtype)
        found: dict[str, Piece] = {}
        for name, part in laid_out(stored).items():
            if of_copy(name) and len(part.shape) > 1:
                found |= extraction.factors(name.removesuffix(".weight"), part, base.piece(name, part.shape))
            else:
                found[name] = part
        named = named_ldm(found)
        named[_MARKER] = piece(torch.zeros(0))
        told = {"rank": how.rank, "reconstruction_error": extraction.error}
        write_pieces(path, named, write_note(stored.net, {**stored.metadata, _MARKER: told}), how.dtype)
        return told

    def describe(self, source: Source) -> dict[str, Any]:
        """Say what shapes and note tell, and the rank."""
        pieces, _ = _opened(source)
        ranks = {
            part.shape[1] for name, part in pieces.items() if name.endswith(".up") and len(part.shape) > 1
        }
        found = _merged(source, pieces, None)
        return {**describe_control(source, found), "rank": max(ranks, default=0)}


def _opened(source: Source) -> tuple[Mapping[str, Piece], Callable[[str], str]]:
    """Return the pieces by diffusers' names, and what gives a name back as it stands in the file."""
    if is_control(source):
        return control_pieces(source), lambda name: f"{PREFIX}{name}"
    control = control_of(source)
    return control.pieces, control.label


def _merged(source: Source, pieces: Mapping[str, Piece], base: BaseWeights | None) -> dict[str, Piece]:
    """Put a matrix in the place of each pair of factors."""
    found = {name: part for name, part in pieces.items() if not name.endswith((".up", ".down"))}
    for name, up in pieces.items():
        module, _, kind = name.rpartition(".")
        if kind == "up" and (down := pieces.get(f"{module}.down")) is not None:
            found[f"{module}.weight"] = merged(f"{module}.weight", up, down, base)
        elif kind in ("up", "down") and f"{module}.{'down' if kind == 'up' else 'up'}" not in pieces:
            raise CheckpointError(f"{source.path} has {name} without its other factor; copy it anew")
    return found
