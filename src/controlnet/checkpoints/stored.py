"""Stored: a ControlNet at rest, its structure without weights, and its tensors still on the disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from controlnet.checkpoints.piece import Piece, pieces
from controlnet.checkpoints.rebuild import differences
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError


@final
@dataclass(frozen=True)
class Stored:
    """What formats read and write; the pieces are exactly the net's parameters, by the net's own names."""

    net: ControlNet
    pieces: Mapping[str, Piece] = field(repr=False)
    metadata: Mapping[str, Any]

    @classmethod
    def of(cls, net: ControlNet, metadata: Mapping[str, Any]) -> Stored:
        """Take a ControlNet that is awake."""
        return cls(net, pieces(net.state_dict()), metadata)

    def wake(self) -> ControlNet:
        """Load all tensors into the net, on the CPU and in their stored precision."""
        tensors = {name: piece.load() for name, piece in self.pieces.items()}
        self.net.load_state_dict(tensors, strict=True, assign=True)
        return self.net.eval()


def matched(
    net: ControlNet,
    found: Mapping[str, Piece],
    names: Mapping[str, str],
    path: Path,
) -> dict[str, Piece]:
    """Give each parameter of a net its piece, by `names` from the net's own to those in the file.

    A projection may be kept as a 1×1 convolution or as a linear layer, which is the same. Raises
    CheckpointError, which lists them, where pieces are missing, unexpected or of another size.
    """
    shapes = {own: tuple(tensor.shape) for own, tensor in net.state_dict().items()}
    ready = dict(found)
    for own, their in names.items():
        if their.endswith(("proj_in.weight", "proj_out.weight")) and their in ready and own in shapes:
            ready[their] = _as_wanted(ready[their], shapes[own])
    wanted = {names[own]: shape for own, shape in shapes.items()}
    problems = differences(wanted, {their: piece.shape for their, piece in ready.items()})
    if problems:
        raise CheckpointError(f"{path} does not hold what it describes: {problems}; copy or convert it anew")
    whole = sorted(their for their, piece in ready.items() if not piece.dtype.is_floating_point)
    if whole:
        listed = ", ".join(whole[:3])
        raise CheckpointError(f"{path} holds whole numbers ({listed}); wanted fractions: copy it anew")
    return {own: ready[names[own]] for own in shapes}


def _as_wanted(piece: Piece, shape: tuple[int, ...]) -> Piece:
    if piece.shape[:2] == shape[:2] and {*piece.shape[2:], *shape[2:]} == {1}:
        return piece.then(lambda tensor: tensor.reshape(shape), shape)
    return piece
