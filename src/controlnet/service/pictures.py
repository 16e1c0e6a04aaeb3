"""Pictures as they come from a request, read under a bound and made anew; and pictures on their way out."""

import base64
import binascii
import io
import re
import struct
import zlib
from collections.abc import Mapping
from typing import Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.conditions._image import Fit, Pixels, resized, to_array
from controlnet.errors import DataError

# Formats whose decoders are old and bounded; nothing that runs a program, such as PostScript.
FORMATS: Final = ("PNG", "JPEG", "WEBP", "BMP", "GIF")
_DATA_URI: Final = re.compile(r"data:image/[\w.+-]{1,40};base64,", re.IGNORECASE)
_BROKEN: Final = (
    *(OSError, SyntaxError, ValueError, EOFError, KeyError, IndexError, OverflowError, struct.error),
    *(zlib.error, Image.DecompressionBombError, Image.DecompressionBombWarning),
)


def read_picture(text: str, field: str, most: int) -> Pixels:
    """Decode a picture that stands in a request as raw base64 or as a data URI, into uint8 of H×W×3.

    Nothing is ever opened or fetched by name. Raises DataError, which names the field, for anything else than
    a picture of at most `most` pixels.
    """
    found = _DATA_URI.match(text[:80])
    try:
        data = base64.b64decode("".join(text[found.end() if found else 0 :].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(
            f"{field} is no base64; wanted the bytes of a picture as base64, raw or as a data URI (addresses "
            "and paths are not opened)"
        ) from error
    return picture_of(data, field, most)


def picture_of(data: bytes, field: str, most: int) -> Pixels:
    """Decode the bytes of a picture file; raises what `read_picture` raises."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > most:
                got = f"{image.width}×{image.height} pixels"
                raise DataError(f"{got} are too many; wanted at most {most:,}: send it smaller")
            return to_array(image)
    except DataError as error:
        raise DataError(f"{field}: {error}") from error
    except _BROKEN as error:
        raise DataError(f"{field} is no picture that can be read; wanted {', '.join(FORMATS)}") from error


def png(image: Image.Image | np.ndarray, texts: Mapping[str, str] | None = None) -> bytes:
    """Encode a picture, with texts that tell how it was made."""
    info = PngInfo()
    for key, value in (texts or {}).items():
        clean = value.replace("\0", "")
        (info.add_text if clean.isascii() else info.add_itxt)(key, clean)
    out = io.BytesIO()
    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    picture.save(out, format="PNG", pnginfo=info, compress_level=4)
    return out.getvalue()


def small_jpeg(image: Image.Image, side: int = 384) -> bytes:
    """Encode a picture to be shown while work goes on."""
    out = io.BytesIO()
    shown = image.copy()
    shown.thumbnail((side, side))
    shown.save(out, format="JPEG", quality=80)
    return out.getvalue()


def fitted(pixels: Pixels, size: tuple[int, int], fit: Fit, label_map: bool = False) -> Pixels:
    """Bring a picture to (width, height): stretched, cropped at its middle, or filled up with its border.

    The border's colour is the median of the outermost pixels, which is black for most control maps.
    """
    width, height = size
    if fit == "stretch" or pixels.shape[:2] == (height, width):
        return resized(pixels, width, height, label_map)
    scales = width / pixels.shape[1], height / pixels.shape[0]
    scale = max(scales) if fit == "crop" else min(scales)
    wide, tall = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    if fit == "crop":
        wide, tall = max(wide, width), max(tall, height)
        image = resized(pixels, wide, tall, label_map)
        left, top = (wide - width) // 2, (tall - height) // 2
        return np.ascontiguousarray(image[top : top + height, left : left + width])
    wide, tall = min(wide, width), min(tall, height)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    result = np.empty((height, width, 3), np.uint8)
    result[:] = np.median(border, axis=0).astype(np.uint8)
    left, top = (width - wide) // 2, (height - tall) // 2
    result[top : top + tall, left : left + wide] = resized(pixels, wide, tall, label_map)
    return result


def texts_of(text: str, longest: int = 1_000_000) -> dict[str, str]:
    """Return the texts of a picture that `read_picture` has read before."""
    found = _DATA_URI.match(text[:80])
    data = base64.b64decode("".join(text[found.end() if found else 0 :].split()))
    with Image.open(io.BytesIO(data), formats=FORMATS) as image:
        image.load()
        texts = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
    return {key: _whole(value) for key, value in texts.items() if len(value) <= longest}


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
