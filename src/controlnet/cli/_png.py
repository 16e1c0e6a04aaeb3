"""PNG files that say how they were made."""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.files import whole


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


def grid(pictures: Sequence[Image.Image]) -> Image.Image:
    """Lay pictures of one size out row by row, about as many columns as rows."""
    columns = ceil(sqrt(len(pictures)))
    rows = ceil(len(pictures) / columns)
    width, height = pictures[0].size
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet
