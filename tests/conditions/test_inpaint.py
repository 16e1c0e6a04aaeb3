"""Holes to be painted anew: where they are, and that black means a hole and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.conditions import annotate, condition
from controlnet.conditions._image import Pixels

HOLE = (slice(10, 30), slice(20, 50))


def picture(mark: tuple[int, int, int] | None = (255, 255, 255)) -> Pixels:
    pixels = np.random.default_rng(0).integers(0, 240, (64, 80, 3), dtype=np.uint8)
    if mark is not None:
        pixels[HOLE] = mark
    return pixels


def holes(found: Pixels) -> np.ndarray:
    return found.max(axis=2) == 0


def expected() -> np.ndarray:
    mask = np.zeros((64, 80), bool)
    mask[HOLE] = True
    return mask


@pytest.mark.parametrize(
    ("mark", "colour"),
    [
        ("white", (255, 255, 255)),
        ("black", (0, 0, 0)),
        ("green", (0, 255, 0)),
        ("magenta", (255, 0, 255)),
    ],
)
def test_the_marked_region_is_black_and_the_rest_the_picture(mark: str, colour: tuple[int, int, int]) -> None:
    pixels = picture(colour)
    found = condition(f"inpaint(mark={mark!r})")(pixels)
    assert np.array_equal(holes(found), expected())
    assert np.array_equal(found[~expected()], pixels[~expected()])


def test_transparent_pixels_of_a_file_are_holes(tmp_path: Path) -> None:
    alpha = np.where(expected(), 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([picture(None), alpha])).save(tmp_path / "cut.png")
    found = np.asarray(annotate("inpaint", tmp_path / "cut.png"))
    assert np.array_equal(holes(found), expected())


def test_what_is_black_in_the_picture_is_no_hole() -> None:
    pixels = picture()
    pixels[40:60] = 0
    found = condition("inpaint")(pixels)
    assert np.array_equal(holes(found), expected()) and (found[40:60] == 1).all()


def test_small_white_spots_are_picture_unless_asked_for() -> None:
    pixels = picture()
    pixels[50:52, 5:7] = 255
    assert not holes(condition("inpaint")(pixels))[50:52, 5:7].any()
    assert holes(condition("inpaint(smallest=0.0)")(pixels))[50:52, 5:7].all()
    assert not holes(condition("inpaint(smallest=1.0)")(pixels)).any()


def test_tolerance() -> None:
    pixels = picture((250, 252, 255))
    assert not holes(condition("inpaint(tolerance=4)")(pixels)).any()
    assert np.array_equal(holes(condition("inpaint(tolerance=5)")(pixels)), expected())


def test_all_and_one_pixel() -> None:
    assert not condition("inpaint")(np.full((9, 9, 3), 255, np.uint8)).any()
    assert not condition("inpaint")(np.full((1, 1, 3), 255, np.uint8)).any()
    assert condition("inpaint")(np.zeros((1, 1, 3), np.uint8)).tolist() == [[[1, 1, 1]]]


def test_random_holes_come_from_the_seed_and_leave_most_of_the_picture() -> None:
    pixels = picture(None)
    shares = []
    for seed in range(40):
        found = condition(f"inpaint(mark='random', seed={seed})")(pixels)
        shares.append(holes(found).mean())
        kept = found[~holes(found)]
        assert np.array_equal(kept, np.maximum(pixels[~holes(found)], kept * (kept == 1)))
    assert min(shares) > 0.005 and max(shares) < 0.8 and 0.1 < np.mean(shares) < 0.4
    assert len({round(float(share), 6) for share in shares}) > 30


def test_random_holes_of_each_picture() -> None:
    first, second = (
        holes(condition("inpaint(mark='random', per_picture=True)")(pixels))
        for pixels in (picture(None), picture())
    )
    assert not np.array_equal(first, second)


def test_the_web_uis_names() -> None:
    assert condition("inpaint_only") == condition("inpaint_global_harmonious") == condition("inpaint")
