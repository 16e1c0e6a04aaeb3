"""Which sizes a base can make, and which one is meant where none is given."""

import logging
from collections.abc import Sequence
from typing import Final

from controlnet.backbones import Base
from controlnet.errors import ShapeError
from controlnet.sampling.images import Size

LARGEST: Final = 8  # times the base's own side; beyond it memory runs out long before a picture comes out
FAR: Final = 2  # times the base's own side; beyond it pictures repeat themselves

log = logging.getLogger(__name__)


def stride(base: Base) -> int:
    """Give the number of pixels that width and height must be multiples of: VAE times U-Net."""
    return base.downscale * max(tap.stride for tap in base.backbone.taps(base.network))


def output_size(base: Base, width: int | None, height: int | None, pictures: Sequence[Size]) -> Size:
    """Settle the size of the output: what was asked for, else the first picture's, else the base's own.

    A size taken from a picture is rounded to the base's stride; one that was asked for is not. With one side
    given, the other follows the picture's shape. ShapeError, with the mend, for a size that cannot be made.
    """
    grid = stride(base)
    if width is not None and height is not None:
        size = width, height
    elif pictures:
        size = _rounded(_fitted(pictures[0], width, height), grid)
    else:
        size = width or base.sample_size, height or base.sample_size
    _check(size, grid, base.sample_size)
    return size


def warn_if_far(base: Base, size: Size) -> None:
    """Tell the log where a size is far above the one that the base was trained at."""
    own = base.sample_size
    if size[0] * size[1] > (FAR * own) ** 2:
        log.warning(
            "size %dx%d is far from the %dx%d that this base was trained at; expect broken content, "
            "or give width and height nearer to it",
            *size,
            own,
            own,
        )


def _fitted(picture: Size, width: int | None, height: int | None) -> tuple[float, float]:
    if width is not None:
        return width, picture[1] * width / picture[0]
    if height is not None:
        return picture[0] * height / picture[1], height
    return picture


def _rounded(size: tuple[float, float], grid: int) -> Size:
    width, height = (max(grid, grid * int(side / grid + 0.5)) for side in size)
    return width, height


def _check(size: Size, grid: int, own: int) -> None:
    # A small U-Net may be trained at a size that its own stride does not divide; that one it can make.
    if size != (own, own) and any(side < grid or side % grid for side in size):
        near = _rounded(size, grid)
        raise ShapeError(
            f"got size {size[0]}x{size[1]}; this base wants multiples of {grid} pixels, at least {grid}: "
            f"{near[0]}x{near[1]} is near"
        )
    area = size[0] * size[1]
    if area > (LARGEST * own) ** 2:
        raise ShapeError(
            f"got size {size[0]}x{size[1]}; this base, trained at {own}x{own}, wants an area of at most "
            f"{LARGEST * own}x{LARGEST * own}: give a smaller width and height"
        )
