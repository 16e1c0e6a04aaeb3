"""Differences as products of two narrow matrices: extracted by singular values, and merged again."""

from __future__ import annotations

from math import prod, sqrt
from typing import final

import torch
from torch import Tensor

from controlnet.checkpoints.base import BaseWeights
from controlnet.checkpoints.kept import added
from controlnet.errors import CheckpointError, SettingError
from controlnet.tensorfiles.piece import Piece, piece

_EXTRA, _ROUNDS = 16, 4  # of the randomised decomposition: enough to leave the error at its least


@final
class Extraction:
    """Factors of one rank for any number of matrices, with the error that they leave."""

    def __init__(self, rank: int, dtype: torch.dtype | None) -> None:
        if rank < 1:
            raise SettingError(f"got rank {rank}; wanted a whole number from 1, such as 64")
        self.rank, self.dtype = rank, dtype
        self._lost = self._whole = 0.0

    @property
    def error(self) -> float:
        """‖D − up·down‖ / ‖D‖ over all differences D so far (Frobenius norms)."""
        return sqrt(self._lost / self._whole) if self._whole else 0.0

    def factors(self, module: str, part: Piece, base: Piece) -> dict[str, Piece]:
        """Return up and down of a matrix, or the matrix itself where they would not be smaller."""
        rows, columns = part.shape[0], prod(part.shape[1:])
        if self.rank * (rows + columns) >= rows * columns:
            return {f"{module}.weight": part}
        difference = (part.load().double() - base.load().double()).float().reshape(rows, columns)
        up, down = (factor.to(self.dtype or part.dtype) for factor in decomposed(difference, self.rank))
        self._lost += float((difference - up.float() @ down.float()).square().sum(dtype=torch.float64))
        self._whole += float(difference.square().sum(dtype=torch.float64))
        if len(part.shape) == 4:
            up, down = up.reshape(rows, -1, 1, 1), down.reshape(-1, *part.shape[1:])
        return {f"{module}.up": piece(up.contiguous()), f"{module}.down": piece(down.contiguous())}


def decomposed(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return up (m,r) and down (r,n), whose product is nearest to a matrix (m,n); the same at every call.

    Source: Eckart and Young; for large matrices the randomised method of Halko, Martinsson and Tropp
    (arXiv 0909.4061, algorithm 5.1).
    """
    if 2 * (rank + _EXTRA) < min(matrix.shape):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            left, values, right = torch.svd_lowrank(matrix, rank + _EXTRA, _ROUNDS)
        right = right.mT
    else:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    scale = values[:rank].sqrt()  # shared, so that neither factor leaves half precision
    return left[:, :rank] * scale, scale[:, None] * right[:rank]


def merged(name: str, up: Piece, down: Piece, base: BaseWeights | None) -> Piece:
    """Return base + up·down; without a base it has a shape and cannot be loaded."""
    if len(up.shape) < 2 or len(down.shape) < 2 or up.shape[1] != down.shape[0] or prod(up.shape[2:]) != 1:
        raise CheckpointError(
            f"the factors of {name} are {up.shape} and {down.shape}; wanted (out, r) and (r, in …): copy the "
            "file anew"
        )
    shape = (up.shape[0], *down.shape[1:])
    under = base.piece(name, shape) if base else None
    dtype = torch.promote_types(up.dtype, under.dtype) if under else up.dtype

    def load() -> Tensor:
        if under is None:
            raise CheckpointError(f"{name} is kept as a difference from the base; wanted the base: give it")
        return added(under.load(), up.load(), down.load()).to(dtype)

    return Piece(shape, dtype, load)
