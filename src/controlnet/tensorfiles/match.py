"""Tensors of a file and parameters of a network, brought together: all of them, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece


def matched(
    net: nn.Module,
    found: Mapping[str, Piece],
    names: Mapping[str, str],
    place: Path | str,
) -> dict[str, Piece]:
    """Give each parameter of a net its piece, by `names` from the net's own to those in the file.

    A projection may be kept as a 1×1 convolution or as a linear layer, which is the same. Raises
    CheckpointError, which names the place and lists them, where pieces are missing, unexpected or of another
    size.
    """
    shapes = {own: tuple(tensor.shape) for own, tensor in net.state_dict().items()}
    ready = dict(found)
    for own, their in names.items():
        if their in ready and own in shapes:
            ready[their] = _as_wanted(ready[their], shapes[own])
    wanted = {names[own]: shape for own, shape in shapes.items()}
    problems = differences(wanted, {their: piece.shape for their, piece in ready.items()})
    if problems:
        raise CheckpointError(f"{place} does not hold what it describes: {problems}; copy or convert it anew")
    whole = sorted(their for their, piece in ready.items() if not piece.dtype.is_floating_point)
    if whole:
        listed = ", ".join(whole[:3])
        raise CheckpointError(f"{place} holds whole numbers ({listed}); wanted fractions: copy it anew")
    return {own: ready[names[own]] for own in shapes}


def differences(wanted: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]]) -> str:
    """Say in a line which names are missing, unexpected, or of another size; empty where all agree."""
    sizes = [
        f"{k} {got[k]}, not {wanted[k]}" for k in sorted(wanted.keys() & got.keys()) if got[k] != wanted[k]
    ]
    kinds = {
        "missing": sorted(wanted.keys() - got.keys()),
        "unexpected": sorted(got.keys() - wanted.keys()),
        "of another size": sizes,
    }
    return "; ".join(f"{len(found)} {kind} ({_few(found)})" for kind, found in kinds.items() if found)


def _few(found: list[str], most: int = 4) -> str:
    return ", ".join(found[:most]) + (", …" if len(found) > most else "")


def _as_wanted(piece: Piece, shape: tuple[int, ...]) -> Piece:
    if piece.shape[:2] == shape[:2] and {*piece.shape[2:], *shape[2:]} == {1}:
        return piece.then(lambda tensor: tensor.reshape(shape), shape)
    return piece
