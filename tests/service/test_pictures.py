"""Pictures from requests: what is read, what is refused, and how they are brought to a size."""

import base64
import io

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from controlnet.errors import DataError
from controlnet.service.pictures import fitted, png, read_picture

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (20, 30, 3), np.uint8)


def encoded(format: str = "PNG", array: np.ndarray = PICTURE, **settings) -> str:
    out = io.BytesIO()
    Image.fromarray(array).save(out, format=format, **settings)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize("head", ["", "data:image/png;base64,", "DATA:image/x-png;base64,", "\n "])
def test_base64_is_read_raw_and_as_a_data_uri(head):
    assert np.array_equal(read_picture(head + encoded(), "image", 1000), PICTURE)


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "BMP", "GIF"])
def test_other_formats_are_read(format):
    assert read_picture(encoded(format), "image", 1000).shape == PICTURE.shape


@pytest.mark.parametrize(
    "text",
    [
        *("http://example.org/a.png", "https://example.org/a.png", "file:///etc/passwd", "/etc/passwd"),
        *("../a.png", "data:text/html;base64,AAAA", "", "AAAA", "é", encoded()[:-40], encoded("TIFF")),
        base64.b64encode(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n").decode(),
    ],
)
def test_anything_else_is_refused_by_its_field(text):
    with pytest.raises(DataError, match="init_images"):
        read_picture(text, "init_images", 1000)


def test_pixels_are_counted_before_they_are_decoded():
    with pytest.raises(DataError, match="30×20"):
        read_picture(encoded(), "image", 599)
    bomb = encoded(array=np.zeros((6000, 6000, 3), np.uint8))
    with pytest.raises(DataError, match="6000×6000"):
        read_picture(bomb, "image", 4096 * 4096)


def test_texts_of_a_sent_picture_go_no_further():
    info = PngInfo()
    info.add_text("secret", "a place")
    out = io.BytesIO()
    Image.fromarray(PICTURE).save(out, format="PNG", pnginfo=info)
    again = png(read_picture(base64.b64encode(out.getvalue()).decode(), "image", 1000), {"own": "text\0é"})
    assert Image.open(io.BytesIO(again)).info == {"own": "texté"}


@pytest.mark.parametrize("size", [(40, 40), (10, 30), (30, 10), (30, 20), (7, 5), (1, 1)])
@pytest.mark.parametrize("fit", ["stretch", "crop", "fill"])
def test_a_picture_is_brought_to_its_size(fit, size):
    assert fitted(PICTURE, size, fit).shape == (size[1], size[0], 3)


def test_cropping_keeps_the_middle_and_filling_all_of_it():
    picture = np.zeros((10, 30, 3), np.uint8)
    picture[:, 10:20] = 200
    assert (fitted(picture, (10, 10), "crop") == 200).all()
    filled = fitted(picture, (30, 30), "fill")
    assert np.array_equal(filled[10:20], picture) and not filled[:10].any()
