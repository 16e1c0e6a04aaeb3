"""`annotate`: the kind of picture that was given comes back, at the upright size."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

import controlnet as cn
from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels
from controlnet.errors import DataError, ShapeError, UnknownName


class Broken(Condition):
    title: ClassVar[str] = "half the picture"
    paper: ClassVar[str] = "none"
    licence: ClassVar[str] = "none"

    def detect(self, image: Pixels) -> Pixels:
        return image[::2]


def test_an_array_gives_an_array_and_a_picture_a_picture(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.png")
    as_array = cn.annotate("canny", pixels)
    assert isinstance(as_array, np.ndarray) and as_array.shape == (30, 40, 3)
    for given in (image, tmp_path / "a.png", str(tmp_path / "a.png")):
        found = cn.annotate("canny", given)
        assert isinstance(found, Image.Image) and found.mode == "RGB" and found.size == (40, 30)
        assert np.array_equal(np.asarray(found), as_array)


def test_a_turned_photo_gives_an_upright_map(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert cn.annotate("canny", tmp_path / "a.jpg").size == (30, 40)


def test_a_condition_may_be_given_in_place_of_its_text() -> None:
    detector = cn.condition("canny(low=10, high=20)")
    pixels = np.random.default_rng(0).integers(0, 30, (30, 40, 3), dtype=np.uint8)
    assert cn.condition(detector) is detector
    assert np.array_equal(cn.annotate(detector, pixels), cn.annotate("canny(low=10, high=20)", pixels))


def test_an_unknown_condition_lists_near_ones() -> None:
    with pytest.raises(UnknownName, match="canny"):
        cn.condition("cany")


def test_a_strip_is_not_blown_up_beyond_reason() -> None:
    with pytest.raises(DataError, match="smaller resolution"):
        cn.annotate("canny(resolution=4096)", np.zeros((1, 4000, 3), np.uint8))


def test_a_condition_that_breaks_its_promise_is_named() -> None:
    with pytest.raises(ShapeError, match="Broken returned a map of uint8"):
        Broken()(np.zeros((8, 8, 3), np.uint8))


def test_text_form_says_only_what_differs() -> None:
    assert str(cn.condition("canny")) == "canny"
    assert str(cn.condition("canny(high=201, low=100)")) == "canny(high=201)"
