"""Any picture in, uint8 RGB out: every mode, orientation and depth, and what is no picture at all."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from controlnet.conditions._image import Fit, padded, pixel_perfect_resolution, resized, to_array
from controlnet.errors import DataError

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F"]


def gradient(height: int = 6, width: int = 9) -> np.ndarray:
    return np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_of_pillow(mode: str) -> None:
    black = Image.new(mode, (7, 5)) if mode not in ("LA", "RGBA") else Image.new(mode, (7, 5), "black")
    found = to_array(black)
    assert found.shape == (5, 7, 3) and found.dtype == np.uint8
    if mode not in ("CMYK", "YCbCr", "LAB"):  # their zeros are no black
        assert not found.any()


def test_rgb_is_unchanged() -> None:
    assert np.array_equal(to_array(Image.fromarray(gradient())), gradient())
    assert np.array_equal(to_array(gradient()), gradient())


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_transparency_lies_on_white(alpha: int) -> None:
    found = to_array(Image.new("RGBA", (2, 2), (200, 0, 100, alpha)))[0, 0]
    wanted = [round((c * alpha + 255 * (255 - alpha)) / 255) for c in (200, 0, 100)]
    assert found.tolist() == wanted


def test_a_palettes_transparent_colour_lies_on_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 0)
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "p.png", transparency=0)
    assert (to_array(tmp_path / "p.png") == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((20, 30, 3), np.uint8)
    upright[:10, :15] = 255  # bright at the upper left
    turned = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1],
        5: upright.transpose(1, 0, 2), 6: np.rot90(upright), 7: np.rot90(upright.transpose(1, 0, 2), 2),
        8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    image = Image.fromarray(np.ascontiguousarray(turned))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo.png", exif=exif)
    for given_as in (tmp_path / "photo.png", str(tmp_path / "photo.png"), Image.open(tmp_path / "photo.png")):
        assert np.array_equal(to_array(given_as), upright)


def test_sixteen_bits_become_eight(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 12).reshape(3, 4).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    wanted = np.round(deep / 257).astype(np.uint8)
    for given_as in (tmp_path / "deep.png", deep, deep.astype(">u2"), Image.fromarray(deep)):
        assert np.array_equal(to_array(given_as)[..., 0], wanted)


def test_colour_of_sixteen_bits() -> None:
    deep = gradient().astype(np.uint16) * 257
    assert np.array_equal(to_array(deep), gradient())


def test_wide_integers_are_read_by_their_range() -> None:
    assert to_array(Image.fromarray(np.array([[0, 200]], np.int32)))[0, 1, 0] == 200
    assert to_array(Image.fromarray(np.array([[0, 65535]], np.int32)))[0, 1, 0] == 255
    with pytest.raises(DataError, match="70000"):
        to_array(Image.fromarray(np.array([[0, 70000]], np.int32)))


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 1)])
def test_grey_arrays_get_three_channels(shape: tuple[int, ...]) -> None:
    grey = np.arange(54, dtype=np.uint8).reshape(shape)
    found = to_array(grey)
    assert all(np.array_equal(found[..., channel], grey.reshape(6, 9)) for channel in range(3))


@given(st.sampled_from([np.float16, np.float32, np.float64]), st.integers(0, 255))
def test_floats_of_zero_to_one(kind: type, value: int) -> None:
    assert to_array(np.full((2, 2), value / 255, kind))[0, 0, 0] == value


def test_booleans_are_black_and_white() -> None:
    assert to_array(np.array([[True, False]]))[0, :, 0].tolist() == [255, 0]


def test_result_is_memory_of_its_own() -> None:
    pixels = gradient()
    found = to_array(pixels)
    found[:] = 0
    assert np.array_equal(pixels, gradient())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (np.zeros((3, 8, 8), np.uint8), "transpose"),
        (np.zeros((2, 8, 8, 3), np.uint8), "wanted H×W"),
        (np.zeros((8,), np.uint8), "wanted H×W"),
        (np.zeros((0, 8, 3), np.uint8), "at least one pixel"),
        (np.full((4, 4), 2.0), "floats in"),
        (np.full((4, 4), -0.1), "floats in"),
        (np.full((4, 4), np.nan), "floats in"),
        (np.zeros((4, 4), np.int64), "wanted uint8"),
        (None, "NoneType"),
        ([[1, 2]], "type list"),
        (b"bytes", "type bytes"),
    ],
)
def test_what_is_no_picture_is_refused(wrong: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        to_array(wrong)


def test_files_that_are_no_pictures(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").touch()
    for path in (tmp_path / "none.png", tmp_path, tmp_path / "text.png", tmp_path / "empty.png"):
        with pytest.raises(DataError, match=str(path)):
            to_array(path)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # Pillow's own word on a damaged TIFF
@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_damaged_files_raise_nothing_but_data_error(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"photo.{kind}"
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    generator = np.random.default_rng(1)
    cut = [whole[: len(whole) * part // 10] for part in range(1, 10)]
    flipped = []
    for _ in range(30):
        damaged = bytearray(whole)
        for place in generator.integers(0, min(len(whole), 400), 5):
            damaged[place] ^= int(generator.integers(1, 256))
        flipped.append(bytes(damaged))
    refused = 0
    for data in [*cut, *flipped]:
        path.write_bytes(data)
        try:
            assert to_array(path).dtype == np.uint8
        except DataError:
            refused += 1
    assert refused >= 5


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert to_array(tmp_path / "a.gif")[0, 0].tolist() == [255, 0, 0]


def test_a_huge_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(DataError, match=r"bomb\.png"):
        to_array(tmp_path / "bomb.png")


@given(st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_resized_has_the_size_asked_for(width: int, height: int, label_map: bool) -> None:
    found = resized(gradient(), width, height, label_map)
    assert found.shape == (height, width, 3) and found.dtype == np.uint8


def test_labels_are_never_blended() -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 90, 255], np.uint8), (16, 16, 1)).repeat(3, 2)
    for size in (7, 16, 50):
        assert set(np.unique(resized(labels, size, size, label_map=True))) <= {0, 90, 255}
    assert len(np.unique(resized(labels, 50, 50))) > 3


@pytest.mark.parametrize(
    ("size", "target", "mode", "wanted"),
    [
        ((512, 512), (512, 512), "crop", 512),
        ((1000, 2000), (512, 512), "crop", 512),
        ((1000, 2000), (512, 512), "fill", 256),
        ((1000, 2000), (512, 512), "stretch", 512),
        ((2000, 1000), (512, 768), "crop", 768),
        ((2000, 1000), (512, 768), "fill", 256),
        ((333, 500), (512, 512), "fill", 341),
        ((1, 8000), (512, 512), "fill", 64),  # what a condition takes at least
        ((1, 8000), (512, 512), "crop", 512),
        ((100, 100), (9999, 9999), "crop", 4096),
    ],
)
def test_pixel_perfect_resolution(
    size: tuple[int, int], target: tuple[int, int], mode: Fit, wanted: int
) -> None:
    assert pixel_perfect_resolution(size, target, mode) == wanted


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 8, 32, 64]))
def test_padding_reaches_the_next_multiple(height: int, width: int, multiple: int) -> None:
    found = padded(np.ones((height, width, 3), np.uint8), multiple)
    assert all(
        side % multiple == 0 and 0 <= side - own < multiple
        for side, own in zip(found.shape[:2], (height, width), strict=True)
    )
    assert found.all()


@pytest.mark.parametrize("kind", ["RGBA", "uint16", "float32"])
def test_a_large_picture_takes_little_more_memory_than_itself(kind: str) -> None:
    height, width = 6000, 8000
    given_as = (
        Image.new("RGBA", (width, height), (10, 20, 30, 128))
        if kind == "RGBA"
        else np.zeros((height, width, 3), kind)
    )
    tracemalloc.start()
    try:
        found = to_array(given_as)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.shape == (height, width, 3)
    assert peak < 3.2 * found.nbytes
