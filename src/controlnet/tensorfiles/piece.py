"""Piece: one tensor of a checkpoint, known by shape and precision and loaded only when it is asked for.

Formats turn pieces into other pieces; whoever writes asks for one at a time. So a conversion holds a tensor
or two in memory, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True, eq=False)
class Piece:
    """A tensor that is still on the disk; `load` may raise CheckpointError."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    load: Callable[[], Tensor]

    def then(
        self,
        change: Callable[[Tensor], Tensor],
        shape: tuple[int, ...] | None = None,
        dtype: torch.dtype | None = None,
    ) -> Piece:
        """Return the piece that this one becomes, with its new shape and precision where they change."""
        return Piece(shape or self.shape, dtype or self.dtype, lambda: change(self.load()))

    def to(self, dtype: torch.dtype) -> Piece:
        """Return the piece in another precision."""
        return self.then(lambda tensor: tensor.to(dtype), dtype=dtype)

    @property
    def bytes(self) -> int:
        """Its size on the disk."""
        return self.dtype.itemsize * torch.Size(self.shape).numel()


def piece(tensor: Tensor) -> Piece:
    """Take a tensor that is in memory already."""
    return Piece(tuple(tensor.shape), tensor.dtype, lambda: tensor)


def pieces(tensors: Mapping[str, Tensor]) -> dict[str, Piece]:
    """Take several."""
    return {name: piece(tensor) for name, tensor in tensors.items()}


def zeros(shape: tuple[int, ...], dtype: torch.dtype) -> Piece:
    """Make a piece of zeros."""
    return Piece(shape, dtype, lambda: torch.zeros(shape, dtype=dtype))


def combined(parts: Sequence[Piece], weights: Sequence[float], dtype: torch.dtype) -> Piece:
    """Return Σ weight·piece, summed in double precision and rounded once."""

    def load() -> Tensor:
        total = torch.zeros(parts[0].shape, dtype=torch.float64)
        for part, weight in zip(parts, weights, strict=True):
            total.add_(part.load().to("cpu", torch.float64), alpha=weight)
        return total.to(dtype)

    return Piece(parts[0].shape, dtype, load)
