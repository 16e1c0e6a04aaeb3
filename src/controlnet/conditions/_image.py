"""Any picture in, one kind of array out: uint8, H×W×3, RGB, upright, on white where it was transparent."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from controlnet.errors import DataError

Pixels = UInt8[np.ndarray, "h w 3"]
Picture = str | Path | Image.Image | np.ndarray
Fit = Literal["stretch", "crop", "fill"]

_BAND = 256  # rows

# What Pillow's decoders are known to raise on files that are cut short or damaged.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, Image.DecompressionBombError)


def to_array(image: Picture) -> Pixels:
    """Return a picture given as a path, a PIL image or an array as uint8 of H×W×3 in RGB.

    Files and PIL images are turned upright (EXIF orientation) and put on white where they are transparent;
    16 bits become 8. Arrays are H×W, H×W×1, H×W×3 or H×W×4 (the last with alpha), and uint8, uint16, bool, or
    float in [0, 1]. Of an animation the first frame is taken. The result is new memory.
    Raises DataError for a file that is missing, damaged or no picture, and for arrays of other kinds.
    """
    if isinstance(image, (str, Path)):
        return _from_file(Path(image))
    if isinstance(image, Image.Image):
        return _from_pillow(image, "this picture")
    if isinstance(image, np.ndarray):
        return _from_numbers(image)
    wanted = "wanted a path, a PIL image or a numpy array (of a tensor: x.permute(1, 2, 0).numpy())"
    raise DataError(f"got a picture of type {type(image).__name__}; {wanted}")


def _from_file(path: Path) -> Pixels:
    if not path.exists():
        raise DataError(f"no picture at {path}; check the path")
    if path.is_dir():
        raise DataError(f"{path} is a folder; wanted the file of one picture")
    try:
        with Image.open(path) as image:
            return _from_pillow(image, str(path))
    except Image.UnidentifiedImageError as error:
        raise DataError(
            f"{path} is not a picture that can be read; wanted PNG, JPEG, WebP, TIFF …"
        ) from error
    except _BROKEN as error:
        raise DataError(f"cannot read {path} ({error}); it may be damaged or cut short") from error


def _from_pillow(image: Image.Image, name: str) -> Pixels:
    try:
        upright = ImageOps.exif_transpose(image)
        if 0 in upright.size:
            raise DataError(f"{name} is empty ({upright.width}×{upright.height} pixels)")
        if upright.mode == "F" or upright.mode.startswith("I"):
            return _from_numbers(_depth_of(np.asarray(upright), upright.mode, name), name)
        if upright.has_transparency_data:
            return _from_numbers(np.asarray(upright.convert("RGBA")), name)
        return np.array(upright.convert("RGB"))
    except _BROKEN as error:
        raise DataError(f"cannot read {name} ({error}); it may be damaged or cut short") from error


def _depth_of(numbers: np.ndarray, mode: str, name: str) -> np.ndarray:
    """Return the numbers of Pillow's wide grey modes in the type that says their range, which I does not."""
    if mode == "F":
        return numbers
    low, high = int(numbers.min()), int(numbers.max())
    if low < 0 or high > 65535:
        raise DataError(f"{name} has values from {low} to {high}; wanted 8 or 16 bits a pixel")
    return numbers.astype(np.uint16 if mode != "I" or high > 255 else np.uint8)


def _from_numbers(numbers: np.ndarray, name: str = "the array") -> Pixels:
    got = f"{name} has shape {numbers.shape} and type {numbers.dtype}"
    channels = numbers.shape[2] if numbers.ndim == 3 else 1
    if numbers.ndim not in (2, 3) or channels not in (1, 3, 4):
        planar = numbers.ndim == 3 and numbers.shape[0] in (1, 3, 4)
        mend = "; its channels come first: use x.transpose(1, 2, 0)" if planar else ""
        raise DataError(f"{got}; wanted H×W, H×W×1, H×W×3 or H×W×4{mend}")
    if 0 in numbers.shape:
        raise DataError(f"{got}; wanted at least one pixel")
    to_bytes = _to_bytes(numbers, got)
    result = np.empty((*numbers.shape[:2], 3), np.uint8)
    for top in range(0, len(numbers), _BAND):  # the sums need several times the picture's memory
        band = to_bytes(numbers[top : top + _BAND])
        band = band.reshape(*band.shape[:2], channels)
        result[top : top + _BAND] = _on_white(band) if channels == 4 else band
    return result


def _to_bytes(numbers: np.ndarray, got: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return what turns a band of these numbers into bytes."""
    if numbers.dtype == np.uint8:
        return lambda band: band
    if numbers.dtype == np.bool_:
        return lambda band: band.astype(np.uint8) * np.uint8(255)
    if numbers.dtype.kind == "u" and numbers.dtype.itemsize == 2:  # of either byte order
        return lambda band: ((band.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if np.issubdtype(numbers.dtype, np.floating):
        low, high = float(numbers.min()), float(numbers.max())
        if not (low >= 0 and high <= 1):  # written so that NaN fails too
            raise DataError(f"{got}, with values from {low:g} to {high:g}; wanted floats in [0, 1], or uint8")
        return lambda band: (band * 255 + 0.5).astype(np.uint8)
    raise DataError(f"{got}; wanted uint8, uint16, bool, or floats in [0, 1]")


def _on_white(pixels: np.ndarray) -> Pixels:
    colour, alpha = pixels[..., :3].astype(np.uint32), pixels[..., 3:].astype(np.uint32)
    return ((colour * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def resized(pixels: Pixels, width: int, height: int, label_map: bool = False) -> Pixels:
    """Return the picture at another size: AREA to shrink, LANCZOS to enlarge; NEAREST for edges and labels.

    Nearest keeps the exact colours, which mean classes or "edge" and "no edge"; others would blend them.
    """
    import cv2

    if pixels.shape[:2] == (height, width):
        return pixels.copy()
    shrinks = height * width < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_NEAREST_EXACT if label_map else cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    result: Any = cv2.resize(pixels, (width, height), interpolation=how)
    return result


def padded(pixels: Pixels, multiple: int) -> Pixels:
    """Return the picture with its edge pixels repeated at right and bottom up to multiples of `multiple`."""
    tall, wide = (-side % multiple for side in pixels.shape[:2])
    return np.pad(pixels, ((0, tall), (0, wide), (0, 0)), mode="edge") if tall or wide else pixels


def pixel_perfect_resolution(size: tuple[int, int], target: tuple[int, int], mode: Fit = "crop") -> int:
    """Return the short side at which a detector works so that a map's pixel is one of the result's.

    `size` and `target` are height and width of the picture and of what will be generated from its map. The
    picture is brought to the target by "fill" (it fits inside, the rest is filled up), "crop" (it covers the
    target), or "stretch". Source: sd-webui-controlnet, "pixel perfect": round(k·min(H, W)) with
    k = min(h/H, w/W) for "fill" and the larger of the two otherwise; bounded to 64 … 4096.
    """
    factors = [wanted / got for wanted, got in zip(target, size, strict=True)]
    exact = round((min if mode == "fill" else max)(factors) * min(size))
    return min(max(exact, 64), 4096)
