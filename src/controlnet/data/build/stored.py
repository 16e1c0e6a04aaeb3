"""The files of an example: the picture's own where nothing needs to change, and its control map."""

from io import BytesIO
from typing import Final, Literal

import numpy as np
from PIL import ExifTags, Image

from controlnet.conditions._image import resized
from controlnet.data.example import BadExample
from controlnet.data.pictures import UNREADABLE, Pixels, decoded

QUALITY: Final = 95  # of JPEG, colours at full resolution
_KEPT: Final = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


def file_of(
    data: bytes, image: Pixels, store: Literal["keep", "png", "jpg"], short_side: int | None, name: str
) -> tuple[bytes, str, Pixels]:
    """Return the picture's file as it is stored, its suffix, and the pixels (H, W, 3) that decoding it gives.

    data, image: the file that was given, and what it decodes to. It is kept bit for bit if `store` allows and
    it is PNG, JPEG or WebP, of 8 bits, upright, opaque, and no larger than wanted.
    """
    height, width = image.shape[:2]
    shrinks = short_side is not None and min(height, width) > short_side
    if store == "keep" and not shrinks and (suffix := _as_it_is(data, name)):
        return data, suffix, image
    if short_side is not None and shrinks:
        scale = short_side / min(height, width)
        image = resized(image, max(1, round(width * scale)), max(1, round(height * scale)))
    if store != "jpg":
        return png(image), "png", image
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue(), "jpg", decoded(buffer.getvalue(), name)


def png(image: Pixels) -> bytes:
    """Return a picture (H, W, 3) as PNG; grey ones with one channel, a third of the size and time."""
    red, green, blue = (image[..., channel] for channel in range(3))
    grey = np.array_equal(red, green) and np.array_equal(green, blue)
    buffer = BytesIO()
    Image.fromarray(red if grey else image).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def _as_it_is(data: bytes, name: str) -> str | None:
    """Return the suffix of a file that every reader takes for the same pixels, None for others."""
    try:
        with Image.open(BytesIO(data)) as image:
            turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
            plain = image.mode in ("RGB", "L") and not image.has_transparency_data
            moving = getattr(image, "n_frames", 1) > 1
            return _KEPT.get(image.format or "") if plain and not turned and not moving else None
    except UNREADABLE as error:
        raise BadExample("unreadable picture", name) from error
