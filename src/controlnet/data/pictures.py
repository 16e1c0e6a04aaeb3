"""Pictures to and from disk as uint8 arrays: RGB, upright, PNG."""

import struct
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from controlnet.conditions._image import to_array
from controlnet.data.example import BadExample, Example
from controlnet.data.shards import Member
from controlnet.errors import DataError, ShapeError
from controlnet.files import whole

Pixels = NDArray[np.uint8]
T = TypeVar("T")

# What is raised on damaged files: by the decoder, and by Pillow where only a header is read.
UNREADABLE: Final = (
    *(DataError, OSError, SyntaxError, ValueError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)


def as_rgb(array: Pixels) -> Pixels:
    """Bring a uint8 picture (H, W) or (H, W, 3) to (H, W, 3); raises ShapeError for anything else."""
    if array.dtype == np.uint8 and array.ndim == 2:
        return np.repeat(array[..., None], 3, axis=2)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3:
        got = f"{array.dtype} {array.shape}"
        raise ShapeError(
            f"got a picture {got}, wanted uint8 (H, W, 3) or (H, W); convert it before it is stored"
        )
    return array


def read_rgb(path: Path | Member) -> Pixels:
    """Decode a whole picture file as every other part does: (H, W, 3) uint8, upright, transparency on white.

    Raises DataError for a file that is no whole picture.
    """
    if isinstance(path, Path):
        return to_array(path)
    with path.open() as file, Image.open(file) as image:
        return to_array(image)


def decoded(data: bytes, where: str) -> Pixels:
    """Decode a picture file that is in memory, as `read_rgb` does; raises BadExample."""
    try:
        with Image.open(BytesIO(data)) as image:
            return to_array(image)
    except UNREADABLE as error:
        raise BadExample("unreadable picture", where) from error


def picture_size(path: Path | Member) -> tuple[int, int]:
    """Read height and width of the upright picture from the file's header alone."""
    with path.open("rb") as file, Image.open(file) as image:
        width, height = image.size
        # Asking a PNG for its EXIF block would decode it whole; cameras write JPEG.
        turned = image.format in ("JPEG", "MPO") and image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (width, height) if turned else (height, width)


def write_png(path: Path, array: Pixels) -> None:
    """Write a picture so that `path` holds either the whole of it or nothing; makes missing folders."""
    with whole(path) as part:
        Image.fromarray(array).save(part, format="PNG")


def check_headers(example: Example, stored: bool = True) -> tuple[int, int]:
    """Check by headers alone that the pictures of an example are there and agree; returns (height, width).

    With `stored` false the control map is computed from the picture, and none is asked for. Raises
    BadExample.
    """
    sizes = [_try(picture_size, path) for path in _files(example, stored)]
    if len(set(sizes)) > 1:
        raise _mismatch(example, sizes)
    return sizes[0]


def read_pair(example: Example, stored: bool = True) -> tuple[Pixels, Pixels | None]:
    """Decode picture and control map of an example, (H, W, 3) uint8 each; raises BadExample."""
    image, *maps = [_try(read_rgb, path) for path in _files(example, stored)]
    if maps and maps[0].shape != image.shape:
        raise _mismatch(example, [image.shape[:2], maps[0].shape[:2]])
    return image, maps[0] if maps else None


def read_mask(example: Example, size: tuple[int, int]) -> Pixels | None:
    """Decode the mask of an example, (H, W, 3) uint8, if it has one; raises BadExample unless of a size."""
    if example.mask is None:
        return None
    mask = _try(read_rgb, example.mask)
    if mask.shape[:2] != size:
        raise _mismatch(example, [size, mask.shape[:2]], "mask")
    return mask


def _files(example: Example, stored: bool) -> list[Path | Member]:
    if not stored:
        return [example.image]
    if example.conditioning is None:
        raise BadExample("no conditioning", example.image.name)
    return [example.image, example.conditioning]


def _try(read: Callable[[Path | Member], T], path: Path | Member) -> T:
    where = f"{path.parent.name}/{path.name}"
    if not path.is_file():
        raise BadExample("missing file", where)
    try:
        return read(path)
    except UNREADABLE as error:
        raise BadExample("unreadable picture", where) from error


def _mismatch(example: Example, sizes: Sequence[tuple[int, ...]], what: str = "map") -> BadExample:
    (height, width), (map_height, map_width) = sizes
    return BadExample(
        "sizes differ", f"{example.image.name} {width}×{height}, its {what} {map_width}×{map_height}"
    )
