"""Overlapping tiles: where they lie, what they weigh, and how they become one picture without seams."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from controlnet.backbones._tiles import starts_of, weights_of
from controlnet.conditions._image import Pixels
from controlnet.errors import SettingError
from controlnet.sampling.images import Size

OVERLAP: Final = 4  # of a tile's side, unless told: a quarter is what two tiles share


@final
@dataclass(frozen=True)
class Box:
    """A part of a picture, in pixels; right and bottom are the first that are outside."""

    left: int
    top: int
    right: int
    bottom: int

    def cut(self, array: np.ndarray) -> np.ndarray:
        """Cut the part out of an array (H, W, …); a view, no copy."""
        return array[self.top : self.bottom, self.left : self.right]


@final
@dataclass(frozen=True)
class Tiling:
    """Square tiles that cover a picture of `size`, neighbours sharing at least `overlap` pixels.

    They begin at multiples of `grid`, of which `tile` and `overlap` are multiples too. SettingError for sides
    that cannot be meant.
    """

    size: Size
    tile: int
    overlap: int
    grid: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tile or self.tile % self.grid or self.overlap % self.grid:
            raise SettingError(
                f"got tiles of {self.tile} pixels that overlap by {self.overlap}; wanted multiples of "
                f"{self.grid} pixels, the overlap smaller than the tile"
            )

    @property
    def canvas(self) -> Size:
        """Width and height that the tiles cover: the picture's, filled up to the grid and to one tile."""
        width, height = (max(self.tile, -(-side // self.grid) * self.grid) for side in self.size)
        return width, height

    @property
    def starts(self) -> tuple[list[int], list[int]]:
        """Where tiles begin, from the left and from the top."""
        across, down = (starts_of(side, self.tile, self.overlap, self.grid) for side in self.canvas)
        return across, down

    def __len__(self) -> int:
        across, down = self.starts
        return len(across) * len(down)

    def __iter__(self) -> Iterator[Box]:
        """Yield the tiles row by row."""
        across, down = self.starts
        for top in down:
            for left in across:
                yield Box(left, top, left + self.tile, top + self.tile)


def blended(tiling: Tiling, paint: Callable[[Box], Pixels]) -> Pixels:
    """Paint each tile once and blend them by weights that fall smoothly to zero and sum to one everywhere.

    paint: gives a tile's pixels, (tile, tile, 3), uint8 or float in [0, 255]. Besides the result, uint8 of
    the tiling's size, one tile and one row of tiles are held, whatever the picture's size.
    """
    width, height = tiling.canvas
    across, down = tiling.starts
    columns, rows = weights_of(across, tiling.tile, width), weights_of(down, tiling.tile, height)
    result = np.empty((height, width, 3), np.uint8)
    band = np.zeros((tiling.tile, width, 3), np.float32)
    boxes = iter(tiling)
    for number, top in enumerate(down):
        for left, column in zip(across, columns, strict=True):
            weights = rows[number][:, None, None] * column[None, :, None]
            band[:, left : left + tiling.tile] += weights * paint(next(boxes))
        # What no further row of tiles reaches is done.
        done = ([*down, height][number + 1]) - top
        result[top : top + done] = np.clip(np.rint(band[:done]), 0, 255)
        band = np.concatenate([band[done:], np.zeros_like(band[:done])])
    return result[: tiling.size[1], : tiling.size[0]]
