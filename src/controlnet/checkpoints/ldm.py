"""A control in ldm's layout, found in a file: alone or in a whole checkpoint, full or as differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from controlnet.backbones._single_file.layout import CONTROL, EMA, LEFTOVERS, TEXT, UNET, VAE
from controlnet.checkpoints.io import Source
from controlnet.checkpoints.keys import Structure, renamed, to_ldm
from controlnet.tensorfiles.piece import Piece

PREFIX: Final = CONTROL
MARKERS: Final = ("difference", "lora_controlnet")
_HINT: Final = "input_hint_block.0.weight"
# What may stand beside the control in a whole checkpoint.
_BESIDE: Final = (*(UNET, EMA, VAE, TEXT, "conditioner.", "cond_stage_model_sd.", "denoiser."),)


@final
@dataclass(frozen=True)
class Control:
    """The control's pieces by diffusers' names; those that have none keep their own."""

    pieces: dict[str, Piece]
    table: Mapping[str, str]  # of ldm's modules by diffusers'
    prefix: str

    def label(self, name: str) -> str:
        """Return a name as it stands in the file, or would."""
        found = renamed([name], self.table)
        return f"{self.prefix}{found[name]}" if name in found else name


def is_ldm(source: Source, markers: tuple[str, ...]) -> bool:
    """Tell whether a file has a control in this layout with exactly these of the markers."""
    found = {marker for marker in MARKERS if marker in source.pieces}
    hint = _HINT in source.pieces or f"{PREFIX}{_HINT}" in source.pieces
    return hint and source.single and found == set(markers)


def control_of(source: Source) -> Control:
    """Take the control out of a file, its names made diffusers'."""
    prefix = PREFIX if f"{PREFIX}{_HINT}" in source.pieces else ""
    known = LEFTOVERS.union(MARKERS)
    beside = {name for name in source.pieces if name in known or name.startswith(_BESIDE)}
    own = [name for name in source.pieces if name not in beside and name.startswith(prefix)]
    table = to_ldm(Structure.of_ldm(name.removeprefix(prefix) for name in own))
    back = renamed((name.removeprefix(prefix) for name in own), {ldm: new for new, ldm in table.items()})
    pieces = {
        back.get(name.removeprefix(prefix), name): piece
        for name, piece in source.pieces.items()
        if name not in beside
    }
    return Control(pieces, table, prefix)
