"""Learned line art: what the networks are given, and that lines are light on black."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._networks import load
from controlnet.conditions._networks.erika import Erika
from controlnet.conditions._networks.lineart import LineArt
from controlnet.conditions._networks.pix2pix import Anime2Sketch

KIND = {
    "lineart_realistic": LineArt,
    "lineart_coarse": LineArt,
    "lineart_anime": Anime2Sketch,
    "lineart_anime_denoise": Erika,
}
WHITE = {name: 255.0 if name == "lineart_anime_denoise" else 1.0 for name in KIND}


class Answer(nn.Module):
    """Draws a black vertical line, a quarter of the picture wide, on white paper; keeps what it was given."""

    def __init__(self, white: float) -> None:
        super().__init__()
        self.white, self.given = white, torch.empty(0)

    def forward(self, pictures: Tensor) -> Tensor:
        self.given = pictures
        drawing = torch.full_like(pictures[:, 0], self.white)
        width = drawing.shape[2]
        drawing[:, :, width // 4 : width // 2] = 0
        return drawing


@pytest.fixture(autouse=True)
def no_networks() -> Iterator[None]:
    yield
    load.forget()


def picture(height: int = 64, width: int = 64) -> Pixels:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def answering(name: str) -> Answer:
    made = Answer(WHITE[name])
    load.place(KIND[name], made)
    return made


@pytest.mark.parametrize("name", KIND)
def test_lines_are_light_on_black(name: str) -> None:
    answering(name)
    found = condition(f"{name}(resolution=None)")(picture())
    assert (found == found[..., :1]).all()
    assert (found[:, 20:28] == 255).all() and (found[:, 40:] == 0).all() and (found[:, :12] == 0).all()


@pytest.mark.parametrize("name", ["lineart_realistic", "lineart_coarse"])
def test_the_drawer_sees_rgb_up_to_255(name: str) -> None:
    network, pixels = answering(name), picture()
    condition(f"{name}(resolution=None)")(pixels)
    assert torch.equal(network.given[0], torch.from_numpy(pixels.transpose(2, 0, 1)).float())


def test_realistic_and_coarse_are_two_files() -> None:
    fine, coarse = (condition(name).weights[0] for name in ("lineart_realistic", "lineart_coarse"))
    load.place(LineArt, Answer(1.0), fine)
    load.place(LineArt, Answer(0.0), coarse)
    assert not condition("lineart_realistic(resolution=None)")(picture())[:, 40:].any()
    assert condition("lineart_coarse(resolution=None)")(picture())[:, 40:].all()


def test_anime_is_stretched_to_multiples_of_256() -> None:
    network = answering("lineart_anime")
    found = condition("lineart_anime(resolution=None)")(picture(64, 300))  # filled up to 320
    assert network.given.shape == (1, 3, 256, 512)
    assert found.shape == (64, 300, 3)
    assert found[:, 90:150].all() and not found[:, 170:].any()  # a quarter to half of 320


def test_values_beyond_black_and_white_are_cut_off() -> None:
    class Beyond(nn.Module):
        def forward(self, greys: Tensor) -> Tensor:
            found = torch.full_like(greys[:, 0], 300.0)
            found[:, :, :32] = -20.0
            return found

    load.place(Erika, Beyond())
    found = condition("lineart_anime_denoise(resolution=None)")(picture())
    assert (found[:, :32] == 255).all() and (found[:, 32:] == 0).all()


def test_the_cleaner_sees_grey_up_to_255() -> None:
    network = answering("lineart_anime_denoise")
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = (255, 0, 0), (255, 255, 255)
    condition("lineart_anime_denoise(resolution=None)")(pixels)
    assert network.given.shape == (1, 1, 64, 64)
    assert network.given[0, 0, 0, [0, 63]].tolist() == [76, 255]  # red is 0.299 of white


@pytest.mark.parametrize("name", KIND)
def test_maps_have_the_pictures_size(name: str) -> None:
    network = answering(name)
    assert condition(f"{name}(resolution=64)")(picture(33, 50)).shape == (33, 50, 3)
    assert network.given.shape[2:] == ((256, 256) if name == "lineart_anime" else (64, 128))
