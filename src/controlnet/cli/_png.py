"""PNG files that say how they were made."""

from collections.abc import Mapping, Sequence
from math import ceil, log
from pathlib import Path
from typing import Final

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.errors import DataError
from controlnet.files import whole

USER_COMMENT: Final = 0x9286  # EXIF, where JPEG and WebP files of the web UI keep their settings
EXIF: Final = 0x8769
SHAPE: Final = 1.5  # width of a grid by its height, as screens have it
LONGEST: Final = 4_000_000  # characters of a text that are read


def save_png(path: Path, image: Image.Image, texts: Mapping[str, str]) -> None:
    """Write a picture with its texts, whole or not at all; texts beyond Latin-1 are kept as UTF-8."""
    info = PngInfo()
    for key, text in texts.items():
        if text.isascii():
            info.add_text(key, text)
        else:
            info.add_itxt(key, text)
    with whole(path) as part:
        image.save(part, format="PNG", pnginfo=info)


def read_texts(path: Path) -> dict[str, str]:
    """Read the texts of a picture; the comment of a JPEG or WebP stands under "parameters".

    Raises DataError for a file that is missing or no picture.
    """
    if not path.is_file():
        raise DataError(f"no picture at {path}; check the path")
    try:
        with Image.open(path) as image:
            image.load()  # texts may stand behind the pixels
            texts = {str(key): value for key, value in image.info.items() if isinstance(value, str)}
            comment = image.getexif().get_ifd(EXIF).get(USER_COMMENT)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"cannot read {path} ({error}); wanted a picture") from error
    if isinstance(comment, bytes) and comment.startswith(b"UNICODE\0"):
        body = comment[8:]
        # Big-endian as the web UI writes it; others write the machine's own order.
        order = "utf-16-le" if body[1:2] == b"\0" else "utf-16-be"
        texts.setdefault("parameters", body.decode(order, "replace"))
    return {key: text for key, text in texts.items() if len(text) <= LONGEST}


def grid(pictures: Sequence[Image.Image], columns: int | None = None) -> Image.Image:
    """Lay pictures of one size out row by row with narrow gaps; None chooses the columns that look best."""
    width, height = pictures[0].size
    columns = columns or _columns(len(pictures), width / height)
    rows = ceil(len(pictures) / columns)
    gap = max(2, min(width, height) // 48)
    size = (columns * (width + gap) - gap, rows * (height + gap) - gap)
    sheet = Image.new("RGB", size, "white")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * (width + gap), index // columns * (height + gap)))
    return sheet


def _columns(count: int, shape: float) -> int:
    """Weigh empty places against a sheet that is too wide or too high."""

    def cost(columns: int) -> float:
        rows = ceil(count / columns)
        return (rows * columns - count) / count + abs(log(columns * shape / rows / SHAPE)) / 2

    return min(range(1, count + 1), key=cost)
