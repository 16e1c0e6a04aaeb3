"""Overlapping tiles along a side, what each weighs there, and maps run through a network tile by tile.

Legend: B batch; C h w a map that goes in; D H W one that comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def starts_of(length: int, tile: int, overlap: int, grid: int = 1) -> list[int]:
    """Spread as few tiles as will do evenly, sharing `overlap` at least, the last flush with the end.

    Tiles begin at multiples of grid, of which all the lengths are multiples.
    """
    if length == tile:
        return [0]
    steps = -(-(length - tile) // (tile - overlap))
    return [(length - tile) // grid * number // steps * grid for number in range(steps + 1)]


def weights_of(starts: Sequence[int], tile: int, length: int) -> list[NDArray[np.float32]]:
    """Give each tile's weights along a side: a Hann window over the sum of all; alone, a tile weighs 1."""
    window = np.sin(np.pi * (np.arange(tile) + 0.5) / tile) ** 2
    total = np.zeros(length)
    for start in starts:
        total[start : start + tile] += window
    return [(window / total[start : start + tile]).astype(np.float32) for start in starts]


def tiled(run: Callable[[Tensor], Tensor], x: Tensor, tile: int, overlap: int, scale: float) -> Tensor:
    """Run x (B,C,h,w) in tiles of `tile` places a side and blend what they give: (B,D,H,W), H = h·scale.

    What is no larger than a tile is run as it is. Besides the result, one tile is in work at a time.
    """
    height, width = x.shape[-2:]
    if max(height, width) <= tile:
        return run(x)
    grid = max(1, round(1 / scale))
    down, across = (
        (starts_of(side, min(tile, side), overlap, grid), min(tile, side)) for side in (height, width)
    )
    rows, columns = (
        [
            torch.from_numpy(weights).to(x)
            for weights in weights_of(
                [round(s * scale) for s in starts], round(own * scale), round(side * scale)
            )
        ]
        for (starts, own), side in ((down, height), (across, width))
    )
    result: Tensor | None = None
    for top, row in zip(down[0], rows, strict=True):
        for left, column in zip(across[0], columns, strict=True):
            made = run(x[..., top : top + down[1], left : left + across[1]])
            if result is None:
                result = made.new_zeros((*made.shape[:2], round(height * scale), round(width * scale)))
            upper, first = round(top * scale), round(left * scale)
            place = result[..., upper : upper + made.shape[-2], first : first + made.shape[-1]]
            place += made * (row[:, None] * column)
    assert result is not None  # there is one tile at least
    return result
