"""Normals: Bae's official file, axes and colours as the published control nets expect them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._networks import load
from controlnet.conditions._networks.bae import BaeNet
from controlnet.conditions._networks.dpt import DPTHybrid
from controlnet.errors import CheckpointError, MissingWeights, SettingError
from tests.conditions.official import narrow, weightless
from tests.helpers import official

LAYOUT = "normalbae"


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    yield
    load.forget()


class Fixed(nn.Module):
    """A network that finds the same whatever it sees."""

    def __init__(self, found: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("found", torch.from_numpy(found.astype(np.float32))[None])

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.get_buffer("found")


def picture(height: int, width: int) -> Pixels:
    return np.random.default_rng(height + width).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_the_official_file_fits() -> None:
    state = weightless(LAYOUT)
    with torch.device("meta"):
        load.filled(BaeNet(), state, "scannet.pt")
        load.filled(BaeNet(), {f"module.{key}": value for key, value in state.items()}, "scannet.pt")


def test_a_file_that_lacks_a_tensor_or_has_one_more_is_refused() -> None:
    state = weightless(LAYOUT)
    used = "encoder.original_model.blocks.0.0.conv_pw.weight"
    with torch.device("meta"):
        network = BaeNet()
        with pytest.raises(CheckpointError, match=r"missing: encoder\.stages\.0\.0\.shrink\.conv\.weight"):
            load.filled(network, {key: value for key, value in state.items() if key != used}, "scannet.pt")
        with pytest.raises(CheckpointError, match="unexpected"):
            load.filled(network, {**state, "another.weight": torch.zeros(1)}, "scannet.pt")
        with pytest.raises(CheckpointError, match="of another shape"):
            load.filled(network, {**state, used: torch.zeros(7)}, "scannet.pt")


# Of a narrow network with random weights: they change only where the arithmetic does. Four numbers a pixel.
GOLDEN: list[list[float]] = [
    [-0.947, 0.3204, 0.0228, 1.2849],
    [-0.9458, 0.3137, -0.0836, 1.2292],
    [-0.943, 0.3264, -0.0654, 1.2426],
    [-0.9513, 0.3042, -0.0492, 1.2436],
    [-0.9435, 0.3196, -0.0878, 1.1736],
    [-0.9467, 0.3205, -0.0335, 1.2088],
]


@torch.no_grad()
def test_the_arithmetic_is_what_was_checked(tmp_path: Path) -> None:
    network = BaeNet(slim=8)
    torch.save({"model": narrow(network, LAYOUT), "epoch": 5}, tmp_path / "scannet.pt")
    load.ready(load.filled(network, load.tensors(tmp_path / "scannet.pt"), "scannet.pt"))
    found = network(load.to_input(picture(64, 96)))
    assert found.shape == (1, 4, 64, 96)
    assert torch.allclose(found[:, :3].norm(dim=1), torch.ones(1, 64, 96), atol=1e-5)
    assert (found[:, 3] > 0).all()
    assert found[0, :, 5::40, 5::40].flatten(1).T.tolist() == [
        pytest.approx(pixel, rel=1e-3, abs=1e-4) for pixel in GOLDEN
    ]


# As the reference gave them for the whole network, with the same random weights.
WHOLE: list[list[float]] = [
    [-0.6043, -0.0996, 0.7905, 0.8358],
    [-0.6412, -0.1056, 0.76, 0.8493],
    [-0.5397, -0.0972, 0.8362, 0.8562],
    [-0.5726, -0.0924, 0.8146, 0.8557],
    [-0.6642, -0.0406, 0.7465, 0.8346],
    [-0.5265, -0.0925, 0.8451, 0.8719],
]


@pytest.mark.slow
@torch.no_grad()
def test_the_whole_network_finds_what_the_reference_found() -> None:
    network = load.ready(load.filled(BaeNet(), official(LAYOUT), "scannet.pt"))
    found = network(load.to_input(picture(64, 96)))[0, :, 5::40, 5::40].flatten(1).T.tolist()
    assert found == [pytest.approx(pixel, rel=1e-3, abs=1e-3) for pixel in WHOLE]


def test_bae_shows_left_red_up_green_and_the_viewer_blue() -> None:
    axes = {
        (1, 0, 0): (255, 127, 127),
        (0, 1, 0): (127, 255, 127),
        (0, 0, 1): (127, 127, 255),
        (-1, 0, 0): (0, 127, 127),
    }
    for normal, colour in axes.items():
        load.place(BaeNet, Fixed(np.broadcast_to(np.reshape((*normal, 9), (4, 1, 1)), (4, 64, 64))))
        assert (condition("normal_bae(resolution=None)")(picture(64, 64)) == colour).all()


def ball() -> np.ndarray:
    """Return the nearness of a ball before a far ground, 64×64."""
    y, x = np.mgrid[-31.5:32, -31.5:32]
    return np.sqrt(np.maximum(0, 30**2 - x**2 - y**2))


@pytest.mark.parametrize("order", ["zyx", "xyz"])
def test_a_balls_left_top_and_middle_face_left_up_and_the_viewer(order: str) -> None:
    load.place(DPTHybrid, Fixed(ball()))
    found = condition(f"normal_midas(resolution=None, order={order!r})")(picture(64, 64)).astype(int)
    x, y, z = (found[..., order.index(axis)] for axis in "xyz")
    left, right, top, bottom, middle = (32, 12), (32, 51), (12, 32), (51, 32), (31, 31)
    assert x[left] > 170 and x[right] < 85 and abs(x[top] - 127) < 12
    assert y[top] > 170 and y[bottom] < 85 and abs(y[left] - 127) < 12
    assert z[middle] > 250 and (z >= 127).all()
    lengths = np.linalg.norm(found / 127.5 - 1, axis=2)
    assert np.abs(lengths - 1).max() < 0.02


def test_the_background_faces_the_viewer() -> None:
    load.place(DPTHybrid, Fixed(ball()))
    whole, cut = (
        condition(f"normal_midas(resolution=None, background={part})")(picture(64, 64)) for part in (0.0, 0.9)
    )
    near = ball() / ball().max() >= 0.9
    assert (cut[~near] == (255, 127, 127)).all() and not (whole[~near] == (255, 127, 127)).all()
    assert (cut[near] == whole[near]).all()


def test_flatness_turns_all_to_the_viewer() -> None:
    load.place(DPTHybrid, Fixed(ball()))
    red = [
        condition(f"normal_midas(resolution=None, flatness={flatness})")(picture(64, 64))[..., 0].mean()
        for flatness in (0.5, 6.3, 100.0)
    ]
    assert red == sorted(red) and red[2] > red[0] + 20
    with pytest.raises(SettingError, match="flatness"):
        condition("normal_midas(flatness=0.0)")


def test_a_scene_without_depth_faces_the_viewer() -> None:
    load.place(DPTHybrid, Fixed(np.full((64, 64), 5.0)))
    assert (condition("normal_midas(resolution=None)")(picture(64, 64)) == (255, 127, 127)).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("normal_map", "normal_midas"),
        ("normal_midas", "normal_midas"),
        ("normal_bae", "normal_bae"),
    ],
)
def test_other_tools_names_are_understood(name: str, wanted: str) -> None:
    assert str(condition(name)) == wanted


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("normal_bae", ("scannet.pt", "291 MB", "MIT", "controlnet weights fetch scannet.pt")),
        ("normal_midas", ("dpt_hybrid-midas-501f0c75.pt", "493 MB", "no classical method")),
    ],
)
def test_missing_weights_are_told_with_what_else_there_is(name: str, said: tuple[str, ...]) -> None:
    with pytest.raises(MissingWeights) as error:
        condition(name)(picture(64, 64))
    for part in (*said, "normal_from_depth", "shapes_normal"):
        assert part in str(error.value)
