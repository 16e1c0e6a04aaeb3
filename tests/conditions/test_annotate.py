"""`annotate`: the kind of picture that was given comes back, at the upright size."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

import controlnet as cn
from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels
from controlnet.errors import ShapeError, UnknownName


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


class Sizes(Condition):
    """Notes the sizes that it is given."""

    title: ClassVar[str] = "the picture"
    paper: ClassVar[str] = "none"
    licence: ClassVar[str] = "none"
    multiple: ClassVar[int] = 32
    seen: ClassVar[list[tuple[int, ...]]] = []

    def detect(self, image: Pixels) -> Pixels:
        self.seen.append(image.shape[:2])
        return image


def worked_at(image: Pixels, **settings: Any) -> tuple[int, ...]:
    assert Sizes(**settings)(image).shape == image.shape
    return Sizes.seen.pop()


@pytest.mark.parametrize(
    ("size", "resolution", "wanted"),
    [
        ((64, 96), None, (64, 96)),
        ((65, 97), None, (96, 128)),
        ((1, 1), None, (32, 32)),
        ((50, 100), 64, (64, 128)),
        ((100, 50), 96, (192, 96)),
        ((100, 50), 100, (224, 128)),
        ((1, 40), 64, (64, 1632)),  # 40 squares would be 64×2560: at most 16 of them, 40×1619
        ((4, 4000), 64, (32, 8096)),  # 16 squares of 64 are 65,536 pixels: 8×8096
        ((4, 40000), 64, (32, 40000)),  # never shrunk for being long
    ],
)
def test_the_size_at_which_a_detector_works(
    size: tuple[int, int], resolution: int | None, wanted: tuple[int, int]
) -> None:
    assert worked_at(np.zeros((*size, 3), np.uint8), resolution=resolution) == wanted


def test_a_strip_is_not_blown_up_beyond_reason() -> None:
    height, width = worked_at(np.zeros((1, 4000, 3), np.uint8), resolution=4096)
    assert height * width < 70_000_000


def test_padding_repeats_the_edge_and_is_cropped_again() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (33, 40, 3), dtype=np.uint8)
    given, tall, wide = Sizes().prepare(pixels)
    assert given.shape == (64, 64, 3) and (tall, wide) == (33, 40)
    assert np.array_equal(given[:33, :40], pixels)
    assert (given[33:, :40] == pixels[-1]).all() and (given[:33, 40:] == pixels[:, -1:]).all()
    assert np.array_equal(Sizes()(pixels), pixels)


def test_pixel_perfect_works_at_the_size_at_which_the_map_is_used() -> None:
    pixels = np.zeros((100, 200, 3), np.uint8)
    for fit, wanted in (("crop", (512, 1024)), ("stretch", (512, 1024)), ("fill", (384, 768))):
        found = cn.annotate(Sizes(resolution=64), pixels, pixel_perfect=(768, 512), fit=fit)
        assert found.shape == pixels.shape and Sizes.seen.pop() == wanted


def test_a_condition_that_breaks_its_promise_is_named() -> None:
    with pytest.raises(ShapeError, match="Broken returned a map of uint8"):
        Broken()(np.zeros((8, 8, 3), np.uint8))


def test_text_form_says_only_what_differs() -> None:
    assert str(cn.condition("canny")) == "canny"
    assert str(cn.condition("canny(high=201, low=100)")) == "canny(high=201)"


def test_a_large_photo_is_worked_on_at_the_resolution(tmp_path: Path) -> None:
    Image.new("L", (8000, 6000), 200).save(tmp_path / "large.png")
    found = cn.annotate(Sizes(resolution=96), tmp_path / "large.png")
    assert found.size == (8000, 6000) and found.getpixel((7999, 5999)) == (200, 200, 200)
    assert Sizes.seen.pop() == (96, 128)
