"""Soft edges by gradients: light where outlines are, black where nothing or only texture is."""

import numpy as np

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels


def half(low: int, high: int, size: int = 256) -> Pixels:
    pixels = np.full((size, size, 3), low, np.uint8)
    pixels[:, size // 2 :] = high
    return pixels


def edges(text: str, pixels: Pixels) -> np.ndarray:
    found = condition(text).model_copy(update={"resolution": None})(pixels)
    assert (found == found[..., :1]).all()
    return found[..., 0].astype(int)


def test_an_outline_is_light_soft_and_several_pixels_wide() -> None:
    profile = edges("softedge_gradient", half(60, 190))[128]
    assert profile[127:129].min() > 240
    assert profile[:110].max() == 0 and profile[146:].max() == 0
    assert 4 <= (profile > 127).sum() <= 16
    assert ((profile > 20) & (profile < 230)).any()  # it fades, rather than ends


def test_plain_and_noisy_walls_are_black() -> None:
    assert edges("softedge_gradient", np.full((64, 64, 3), 9, np.uint8)).max() == 0
    noise = np.random.default_rng(0).normal(120, 4, (128, 128, 3)).clip(0, 255).astype(np.uint8)
    assert edges("softedge_gradient", noise).mean() < 1


def test_clearer_edges_are_lighter() -> None:
    lightness = [edges("softedge_gradient", half(100, high))[128].max() for high in (110, 130, 160, 250)]
    assert lightness == sorted(lightness) and lightness[0] < 60 and lightness[-1] > 240


def test_an_edge_between_colours_of_one_brightness_is_found() -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (255, 0, 0), (0, 130, 0)  # the same luma
    assert edges("softedge_gradient", pixels)[32].max() > 200


def test_safe_leaves_three_brightnesses_those_of_the_published_one() -> None:
    pixels = (
        np.random.default_rng(1).integers(0, 255, (16, 16, 3), dtype=np.uint8).repeat(16, 0).repeat(16, 1)
    )
    soft = edges("softedge_gradient", pixels) / 255
    found = edges("softedge_gradient(safe=True)", pixels)
    assert set(np.unique(found)) == {0, 127, 255}
    assert (found[soft < 0.33] == 0).all() and (found[soft > 0.67] == 255).all()
    assert (found[(soft > 0.34) & (soft < 0.66)] == 127).all()


def test_suppression_takes_texture_and_keeps_outlines() -> None:
    pixels = half(60, 190)
    pixels[::6, :96] = pixels[1::6, :96] = 110  # stripes
    with_texture, without = (edges(f"softedge_gradient(suppression={s})", pixels) for s in (0.0, 1.0))
    assert without[:, 30:80].mean() < 0.5 * with_texture[:, 30:80].mean()
    assert without[128, 128] > 200


def test_strength_and_scales() -> None:
    pixels = half(100, 120)
    weak, strong = (edges(f"softedge_gradient(strength={s})", pixels)[128].max() for s in (0.5, 2.0))
    assert weak < strong
    fine, coarse = (edges(f"softedge_gradient(scales={n})", half(60, 190))[128] > 127 for n in (1, 4))
    assert fine.sum() < coarse.sum()


def test_golden_values() -> None:
    profile = edges("softedge_gradient", half(100, 140))[128, 116:129:2]
    assert np.abs(profile - GOLDEN).max() <= 1, profile.tolist()


GOLDEN = np.array([0, 0, 0, 0, 11, 65, 103])
