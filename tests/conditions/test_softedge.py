"""Soft edges and scribbles: what the networks are given, and what becomes of their answers."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._networks import load
from controlnet.conditions._networks.hed import HED
from controlnet.conditions._networks.pidinet import KINDS, PiDiNet

KIND = {"softedge_hed": HED, "softedge_pidinet": PiDiNet, "scribble_hed": HED, "scribble_pidinet": PiDiNet}
SOFT = ("softedge_hed", "softedge_pidinet")
SCRIBBLES = ("scribble_hed", "scribble_pidinet")


class Answer(nn.Module):
    """Answers with given log-odds, repeated at the bottom and at the right, and keeps what it was given."""

    def __init__(self, log_odds: Tensor) -> None:
        super().__init__()
        self.log_odds, self.given = log_odds, torch.empty(0)

    def forward(self, pictures: Tensor) -> Tensor:
        self.given = pictures
        tall, wide = (got - own for got, own in zip(pictures.shape[2:], self.log_odds.shape, strict=True))
        return F.pad(self.log_odds[None, None], (0, wide, 0, tall), mode="replicate")[:, 0]


@pytest.fixture(autouse=True)
def no_networks() -> Iterator[None]:
    yield
    load.forget()


def answering(name: str, probability: np.ndarray) -> Answer:
    made = Answer(torch.logit(torch.from_numpy(probability).float(), eps=1e-9))
    load.place(KIND[name], made)
    return made


def picture(height: int = 64, width: int = 64) -> Pixels:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", SOFT)
def test_certain_edges_are_white_and_none_black(name: str) -> None:
    probability = np.tile(np.linspace(0, 1, 64), (64, 1))
    answering(name, probability)
    found = condition(f"{name}(resolution=None)")(picture())
    assert (found == found[..., :1]).all()
    np.testing.assert_allclose(found[0, :, 0], 255 * probability[0], atol=1)


@pytest.mark.parametrize("name", SOFT)
def test_safe_edges_have_three_brightnesses(name: str) -> None:
    """A third of the probabilities each."""
    probability = np.tile([[0.02, 0.32, 0.35, 0.65, 0.68, 0.97, 0.02, 0.02]], (64, 8))
    answering(name, probability)
    found = condition(f"{name}(resolution=None, safe=True)")(picture())
    assert found[0, :8, 0].tolist() == [0, 0, 127, 127, 255, 255, 0, 0]


def test_hed_sees_rgb_up_to_255() -> None:
    pixels, network = picture(), answering("softedge_hed", np.zeros((64, 64)))
    condition("softedge_hed(resolution=None)")(pixels)
    assert torch.equal(network.given[0], torch.from_numpy(pixels.transpose(2, 0, 1)).float())


def test_pidinet_sees_bgr_up_to_1() -> None:
    pixels, network = picture(), answering("softedge_pidinet", np.zeros((64, 64)))
    condition("softedge_pidinet(resolution=None)")(pixels)
    wanted = torch.from_numpy(pixels[..., ::-1].transpose(2, 0, 1).copy()).float() / 255
    assert torch.equal(network.given[0], wanted)


@pytest.mark.parametrize("name", KIND)
def test_networks_see_multiples_of_64_and_maps_have_the_pictures_size(name: str) -> None:
    network = answering(name, np.zeros((16, 16)))
    assert condition(f"{name}(resolution=70)")(picture(35, 60)).shape == (35, 60, 3)
    assert network.given.shape == (1, 3, 128, 128)  # 70×120, filled up


def folded(kind: str, kernel: Tensor) -> Tensor:
    """Return what a kernel of differences becomes when PiDiNet loads it."""
    key = f"block1_{KINDS.index(kind)}.conv1.weight" if kind != "central" else "block2_1.conv1.weight"
    return PiDiNet.from_official({key: kernel})[key]


@pytest.mark.parametrize("kind", ["central", "angular", "radial"])
def test_differences_of_a_flat_picture_are_nothing(kind: str) -> None:
    kernel = torch.randn(4, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    found = folded(kind, kernel)
    assert found.shape == (4, 1, 5, 5) if kind == "radial" else (4, 1, 3, 3)
    assert found.abs().sum() > 1
    torch.testing.assert_close(found.sum(dim=(2, 3)), torch.zeros(4, 1), atol=1e-5, rtol=0)


def test_differences_are_those_of_the_paper() -> None:
    """Each pixel and the middle one; neighbours on the circle; the rim and the ring within (figure 3)."""
    numbers = torch.Generator().manual_seed(0)
    kernel, patch = torch.randn(1, 1, 3, 3, generator=numbers), torch.rand(5, 5, generator=numbers)
    weight, near, far = kernel[0, 0], patch[1:4, 1:4], patch
    around = [(0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0)]  # clockwise

    central = sum(weight[place] * (near[place] - near[1, 1]) for place in around)
    assert (folded("central", kernel)[0, 0] * near).sum() == pytest.approx(float(central), abs=1e-5)

    pairs = zip(around, around[1:] + around[:1], strict=True)
    angular = sum(weight[one] * (near[one] - near[following]) for one, following in pairs)
    assert (folded("angular", kernel)[0, 0] * near).sum() == pytest.approx(float(angular), abs=1e-5)

    # The weights of the eight directions are the last eight of the nine, in the order of rows.
    rows = sorted(around)
    radial = sum(
        number * (far[2 * y, 2 * x] - far[y + 1, x + 1])
        for number, (y, x) in zip(weight.flatten()[1:], rows, strict=True)
    )
    assert (folded("radial", kernel)[0, 0] * far).sum() == pytest.approx(float(radial), abs=1e-5)


def test_plain_kernels_stay() -> None:
    kernel = torch.randn(2, 1, 3, 3)
    assert torch.equal(folded("plain", kernel), kernel)


def ridge(height: int, width: int, row: int, peak: float, breadth: float = 5.0) -> np.ndarray:
    """Return edges: one soft one across the picture, in this row at the 40th column and slightly falling.

    (Of one that is quite level, all rows are the greatest from left to right, and the stroke is broader.)
    """
    rows, columns = np.mgrid[:height, :width]
    return peak * np.exp(-(((rows - row - 0.15 * (columns - 40)) / breadth) ** 2))


@pytest.mark.parametrize("name", SCRIBBLES)
def test_scribbles_are_broad_strokes_along_the_ridge(name: str) -> None:
    answering(name, ridge(64, 80, 30, 1.0))
    found = condition(f"{name}(resolution=None)")(picture(64, 80))
    assert set(np.unique(found)) == {0, 255} and (found == found[..., :1]).all()
    (rows,) = np.nonzero(found[:, 40, 0])
    assert rows.tolist() == list(range(rows[0], rows[-1] + 1))  # one stroke
    assert abs((rows[0] + rows[-1]) / 2 - 30) <= 1 and 12 <= len(rows) <= 16  # as a blur of σ = 3 reaches
    assert type(condition(name)).label_map


@pytest.mark.parametrize("name", SCRIBBLES)
def test_faint_edges_are_not_scribbled(name: str) -> None:
    answering(name, ridge(64, 80, 30, 0.45))
    assert not condition(f"{name}(resolution=None)")(picture(64, 80)).any()


@pytest.mark.parametrize("name", SCRIBBLES)
def test_what_fills_the_picture_up_does_not_change_the_strokes(name: str) -> None:
    """A ridge that the network sees in the filling must not win over what is shown."""
    answering(name, ridge(128, 128, 85, 1.0, breadth=25))  # beyond the picture's 70 rows
    found = condition(f"{name}(resolution=None)")(picture(70, 80))
    assert found[-1, 10:50].all() and not found[:55].any()  # along the border, where the edge is greatest


@pytest.mark.parametrize("name", SCRIBBLES)
def test_safe_scribbles_follow_the_safe_edges(name: str) -> None:
    """A ridge of 0.66 is grey among the safe edges, and blurred not above grey."""
    answering(name, ridge(64, 80, 30, 0.66))
    assert condition(f"{name}(resolution=None)")(picture(64, 80)).any()
    assert not condition(f"{name}(resolution=None, safe=True)")(picture(64, 80)).any()
