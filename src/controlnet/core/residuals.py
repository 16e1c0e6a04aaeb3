"""Residuals: what a ControlNet adds to its base; one tensor for each tap, and together a vector space.

Every way of using control is arithmetic here: several conditions are a sum, a weight is a scale, soft weights
are weights by tap, a region is a mask, "shuffle" is a pool, a range of steps is a scale of nought or one.

Legend: B batch; C h w a map; T tokens, D their width; H W a mask of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

from controlnet.errors import ShapeError


@final
@dataclass(frozen=True, eq=False)
class Residuals:
    """One tensor for each tap, skips first, middle last: maps (B,C,h,w) or token streams (B,T,D)."""

    tensors: tuple[Tensor, ...]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def __getitem__(self, index: int) -> Tensor:
        return self.tensors[index]

    def map(self, change: Callable[[Tensor], Tensor]) -> Residuals:
        """Apply one function to the tensor of every tap."""
        return Residuals(tuple(change(tensor) for tensor in self.tensors))

    def __add__(self, other: Residuals) -> Residuals:
        if len(self) != len(other):
            raise ShapeError(
                f"got residuals for {len(self)} and {len(other)} taps; wanted the same kind of base for both"
            )
        return Residuals(tuple(a + b for a, b in zip(self, other, strict=True)))

    def __mul__(self, scale: int | float | Tensor) -> Residuals:
        """Scale by one number, or by one number for each sample (B,)."""
        if isinstance(scale, Tensor) and scale.ndim == 1:
            return self.map(lambda tensor: tensor * scale.to(tensor).view(-1, *(1,) * (tensor.ndim - 1)))
        return self.map(lambda tensor: tensor * scale)

    __rmul__ = __mul__

    def __neg__(self) -> Residuals:
        return self * -1.0

    def __sub__(self, other: Residuals) -> Residuals:
        return self + -other

    @staticmethod
    def sum(parts: Sequence[Residuals]) -> Residuals:
        """Combine several conditions: Σ_k r_k, not interpolated (paper, section 3.4); ShapeError for none."""
        if not parts:
            raise ShapeError("got no residuals to sum; wanted at least one")
        return reduce(Residuals.__add__, parts)

    @staticmethod
    def cat(parts: Sequence[Residuals]) -> Residuals:
        """Join along the batch."""
        return Residuals(tuple(torch.cat(column) for column in zip(*parts, strict=True)))

    def weigh(self, weights: Sequence[float] | Tensor) -> Residuals:
        """Scale each tap by its own weight, skips first, middle last; ShapeError unless each has one."""
        if len(weights) != len(self):
            raise ShapeError(f"got {len(weights)} weights for {len(self)} taps; wanted one for each tap")
        return Residuals(tuple(tensor * weight for tensor, weight in zip(self, weights, strict=True)))

    def mask(self, mask: Shaped[Tensor, "#B 1 H W"]) -> Residuals:
        """Keep control where the mask is 1, drop it where it is 0; any size, averaged down to each map."""
        return self.map(lambda tensor: tensor * _fitted(mask, tensor))

    def pool(self) -> Residuals:
        """Replace each map by its mean over h and w, at its own size, as version 1.1 does for "shuffle"."""
        return self.map(lambda tensor: tensor.mean(_places(tensor), keepdim=True).expand_as(tensor))

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Residuals:
        """Move to a device and a precision."""
        return self.map(lambda tensor: tensor.to(device, dtype))

    def detach(self) -> Residuals:
        """Cut the graph: the same numbers, no gradient."""
        return self.map(Tensor.detach)


def _places(tensor: Tensor) -> tuple[int, ...]:
    """Name the dimensions that span the picture: h and w of a map, T of a token stream."""
    return (2, 3) if tensor.ndim == 4 else (1,)


def _fitted(mask: Tensor, tensor: Tensor) -> Tensor:
    """Average a mask (B,1,H,W) down to a map, (B,1,h,w), or to tokens in reading order, (B,T,1)."""
    mask = mask.to(tensor.device, torch.float32)
    if tensor.ndim == 4:
        return F.interpolate(mask, size=tensor.shape[-2:], mode="area").to(tensor.dtype)
    count, (height, width) = tensor.shape[1], mask.shape[-2:]
    rows = max(1, round((count * height / width) ** 0.5))
    if count % rows:
        raise ShapeError(f"got a mask {height}×{width} for {count} tokens; wanted the picture's proportions")
    return F.interpolate(mask, size=(rows, count // rows), mode="area").flatten(2).mT.to(tensor.dtype)
