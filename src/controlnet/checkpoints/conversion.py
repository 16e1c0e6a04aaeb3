"""`convert`: any known layout to any other, with arithmetic on the way, one tensor at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from controlnet.checkpoints.about import format_of
from controlnet.checkpoints.base import BaseWeights, base_weights
from controlnet.checkpoints.decoder import take_along
from controlnet.checkpoints.format import Writing
from controlnet.checkpoints.io import look
from controlnet.checkpoints.shipped import found
from controlnet.checkpoints.stored import Stored
from controlnet.core.backbone import Locked
from controlnet.errors import CheckpointError, UnknownName
from controlnet.nearest import unknown
from controlnet.registry import find, name_of
from controlnet.tensorfiles.match import differences
from controlnet.tensorfiles.piece import combined

logger = logging.getLogger(__name__)

AnyBase = Locked | nn.Module | str | Path
PRECISIONS: Final[Mapping[str, torch.dtype]] = {
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
    "fp64": torch.float64,
}


def convert(
    source: str | Path,
    target: str | Path,
    to: str = "diffusers",
    precision: str | None = None,
    base: AnyBase | None = None,
    rank: int = 64,
    transfer: tuple[AnyBase, AnyBase] | None = None,
    blend: Mapping[str, float] | None = None,
    global_pool: bool | None = None,
) -> dict[str, Any]:
    """Convert a ControlNet to another layout, and return what is worth telling (format, bytes, error …).

    source        any known layout: file, folder, shipped name or hub id
    to            "native", "diffusers", "diffusers_file", "ldm", "difference", "control_lora"
    precision     of numbers on disk: "fp32", "fp16", "bf16" or "fp64"; as it is unless given
    base          what a difference or Control-LoRA, read or written, is relative to
    rank          of the Control-LoRA that is extracted
    transfer      (original, other): control + other − original, for another base of the same architecture
    blend         other ControlNets and their shares: Σ shareᵢ·otherᵢ + (1 − Σ shareᵢ)·source
    global_pool   whether residuals are averaged over the picture, as version 1.1's "shuffle" wants it; files
                  of the ldm layout do not say

    Memory stays at a few tensors, whatever the size of the files. The target is whole or absent. A decoder
    that was trained along is copied beside it, and its place told as "decoder"; "without_decoder" tells of
    which ControlNets it cannot go along: after a transfer, since it belongs to its base, and of those that
    are blended in. Raises CheckpointError, SettingError (a rank below 1) and UnknownName.
    """
    kind = find("formats", to)()
    if precision is not None and precision not in PRECISIONS:
        raise UnknownName(unknown("precision", precision, PRECISIONS))
    known = None if base is None else base_weights(base)
    stored = _read(source, known)
    decoders = {str(source): stored.net.origin.decoder}
    if blend:
        others = {name: _read(name, known) for name in blend}
        decoders |= {name: other.net.origin.decoder for name, other in others.items()}
        stored = _blended(stored, others, blend)
    if transfer:
        stored = _transferred(stored, *(base_weights(one) for one in transfer))
    if global_pool is not None:
        stored.net.settings = replace(stored.net.settings, global_pool=global_pool)
    how = Writing(PRECISIONS[precision] if precision else None, known, rank)
    told = kind.write(stored, Path(target), how)
    logger.debug("converted %s to %s", source, target)
    written = look(target)
    decoder = stored.net.origin.decoder
    place = take_along(source, Path(target)) if decoder else None
    left = [name for name, own in decoders.items() if own not in ("", decoder)]
    return {
        "path": str(target),
        "format": name_of("formats", type(kind)),
        "bytes": sum(file.stat().st_size for file in written.files),
        "tensors": len(written.pieces),
        **({} if place is None else {"decoder": str(place)}),
        **({"without_decoder": left} if left else {}),
        **told,
    }


def _read(source: str | Path, base: BaseWeights | None) -> Stored:
    seen = look(found(source))
    return format_of(seen).read(seen, base)


def _transferred(stored: Stored, original: BaseWeights, other: BaseWeights) -> Stored:
    """Return control + other − original, tensor by tensor (the original code's transfer of a control)."""
    if stored.net.settings.copy != "full":
        raise CheckpointError('only a full copy has its like in a base; got copy="lite": train it anew')
    pieces = dict(stored.pieces)
    for name, piece in stored.pieces.items():
        if name.startswith("copy."):
            their = name.removeprefix("copy.")
            bases = [base.piece(their, piece.shape) for base in (other, original)]
            pieces[name] = combined([piece, *bases], [1, 1, -1], piece.dtype)
    stored.net.origin = replace(
        stored.net.origin, name=other.origin.name, fingerprint=other.origin.fingerprint, decoder=""
    )
    return Stored(stored.net, pieces, stored.metadata)


def _blended(stored: Stored, others: Mapping[str, Stored], shares: Mapping[str, float]) -> Stored:
    """Return the weighted mean of ControlNets of one structure."""
    shapes = {name: piece.shape for name, piece in stored.pieces.items()}
    for name, other in others.items():
        problems = differences(shapes, {key: piece.shape for key, piece in other.pieces.items()})
        if problems:
            raise CheckpointError(f"{name} is of another structure than the source: {problems}; blend equals")
    weights = [1 - sum(shares.values()), *shares.values()]
    pieces = {
        name: combined([piece, *(other.pieces[name] for other in others.values())], weights, piece.dtype)
        for name, piece in stored.pieces.items()
    }
    return Stored(stored.net, pieces, stored.metadata)
