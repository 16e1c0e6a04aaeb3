"""Depth: the official files, what the networks make of them, and that near is bright."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._image import Pixels
from controlnet.conditions._networks import load
from controlnet.conditions._networks.depth_anything import depth_anything
from controlnet.conditions._networks.dpt import DPTHybrid
from controlnet.conditions._networks.leres import LeReS
from controlnet.conditions._networks.zoe import zoe
from controlnet.errors import CheckpointError, MissingWeights
from tests.conditions.official import narrow, weightless
from tests.helpers import official

LAYOUTS: dict[type[nn.Module], str] = {DPTHybrid: "midas_hybrid", LeReS: "leres"}
NETWORKS = pytest.mark.parametrize("kind", LAYOUTS, ids=lambda kind: kind.__name__)


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
        self.register_buffer("found", torch.from_numpy(found.astype(np.float32)))

    def forward(self, pictures: Tensor) -> Tensor:
        assert pictures.shape == (1, 3, *self.get_buffer("found").shape[-2:])
        return self.get_buffer("found")


def picture(height: int, width: int) -> Pixels:
    return np.random.default_rng(height + width).integers(0, 255, (height, width, 3), dtype=np.uint8)


def ramp() -> np.ndarray:
    """Return values of 64×128 from 5 at the left to 9 at the right."""
    return np.broadcast_to(np.linspace(5, 9, 128), (64, 128))


@NETWORKS
def test_the_official_file_fits(kind: type[nn.Module]) -> None:
    state = weightless(LAYOUTS[kind])
    with torch.device("meta"):
        load.filled(kind(), state, "file")


@NETWORKS
def test_a_file_that_lacks_a_tensor_or_has_one_more_is_refused(kind: type[nn.Module]) -> None:
    state = weightless(LAYOUTS[kind])
    used = [key for key in state if ".refinenet1." in key or ".ffm1." in key]
    with torch.device("meta"):
        module = kind()
        with pytest.raises(CheckpointError, match="missing"):
            load.filled(module, {key: value for key, value in state.items() if key != used[0]}, "file")
        with pytest.raises(CheckpointError, match=r"unexpected: another\.weight"):
            load.filled(module, {**state, "another.weight": torch.zeros(1)}, "file")
        with pytest.raises(CheckpointError, match="of another shape"):
            load.filled(module, {**state, used[0]: torch.zeros(7)}, "file")


# Of narrow networks with random weights: they change only where the arithmetic does.
GOLDEN: dict[type[nn.Module], list[list[float]]] = {
    DPTHybrid: [[6.1312, 7.0882, 3.7349], [3.7727, 5.1709, 6.0208]],
    LeReS: [[0.6077, 2.6191, 2.2046], [-1.416, 1.729, 2.0524]],
}


@NETWORKS
@torch.no_grad()
def test_the_arithmetic_is_what_was_checked(kind: Any) -> None:
    network = kind(slim=16)
    load.ready(load.filled(network, _narrow(network, LAYOUTS[kind]), "file"))
    found = network(load.to_input(picture(64, 96)))
    assert found.shape == (1, 64, 96) and found.isfinite().all()
    assert found[0, 5::40, 5::40].tolist() == [pytest.approx(row, rel=1e-3, abs=1e-4) for row in GOLDEN[kind]]


def _narrow(network: nn.Module, name: str) -> dict[str, Tensor]:
    state = narrow(network, name)
    if name == "midas_hybrid":
        state["scratch.output_conv.4.bias"] += 3  # its last ReLU would leave nothing
    return state


# As the references gave them for the whole networks, with the same random weights.
WHOLE: dict[type[nn.Module], list[list[float]]] = {
    DPTHybrid: [[4.1435, 0.0, 0.0], [3.5861, 3.9279, 3.1497]],
    LeReS: [[-8.1805, -7.1288, -6.5318], [-7.9536, -7.9981, -7.2912]],
}


@pytest.mark.slow
@NETWORKS
@torch.no_grad()
def test_the_whole_network_finds_what_the_reference_found(kind: Any) -> None:
    state = official(LAYOUTS[kind])
    if kind is DPTHybrid:
        state["scratch.output_conv.4.bias"] = torch.full((1,), 8.0)
    network = load.ready(load.filled(kind(), state, "file"))
    found = network(load.to_input(picture(64, 96)))[0, 5::40, 5::40].tolist()
    assert found == [pytest.approx(row, rel=1e-3, abs=1e-3) for row in WHOLE[kind]]


@torch.no_grad()
def test_leres_is_found_in_its_file_among_others(tmp_path: Path) -> None:
    network = LeReS(slim=32)
    state = {f"module.{key}": value for key, value in narrow(network, "leres").items()}
    other = {"module.nets.0.weight": torch.zeros(3)}
    torch.save({"depth_model": state, "shift_model": other, "focal_model": other}, tmp_path / "res101.pth")
    load.filled(network, load.tensors(tmp_path / "res101.pth"), "res101.pth")
    wanted = state["module.depth_model.decoder_modules.outconv.adapt_conv.3.bias"]
    assert torch.equal(network.state_dict()["decoder.outconv.adapt_conv.3.bias"], wanted)


@torch.no_grad()
def test_dpt_reads_more_patches_than_it_was_trained_on_and_fewer() -> None:
    network = load.ready(DPTHybrid(slim=16))
    for sides in ((32, 32), (32, 416), (416, 64)):
        assert network(load.to_input(picture(*sides))).shape == (1, *sides)


def near_is_bright(name: str, maker: Any, found: np.ndarray) -> np.ndarray:
    """Return a row of the map of a scene that comes nearer to the right."""
    load.place(maker, Fixed(found))
    made = condition(f"{name}(resolution=None)")(picture(*found.shape[-2:]))
    assert (made == made[..., :1]).all() and (made == made[:1]).all()
    row = made[0, :, 0].astype(int)
    assert (np.diff(row) >= 0).all() and row[0] == 0 and row[-1] == 255
    return row


def test_near_is_bright_by_midas() -> None:
    row = near_is_bright("depth_midas", DPTHybrid, ramp()[None])
    assert row.tolist() == [int(255 * i / 127 + 1e-4) for i in range(128)]


def test_near_is_bright_by_leres() -> None:
    near_is_bright("depth_leres", LeReS, ramp()[None, :, ::-1].copy())


def test_near_is_bright_by_zoe() -> None:
    row = near_is_bright("depth_zoe", zoe, ramp()[:, ::-1].copy())
    # Of 128 columns the farthest 15 % are black, the nearest 2 % white.
    assert abs(int((row == 0).sum()) - 19) <= 1 and abs(int((row == 255).sum()) - 3) <= 1


def test_near_is_bright_by_depth_anything() -> None:
    near_is_bright("depth_anything_v2", depth_anything, np.broadcast_to(np.linspace(1, 2, 126), (1, 70, 126)))


def test_leres_cuts_off_the_near_and_the_far() -> None:
    load.place(LeReS, Fixed(ramp()[None]))  # the nearest at the left

    def row(**settings: float) -> np.ndarray:
        said = ", ".join(f"{key}={value}" for key, value in settings.items())
        return condition(f"depth_leres(resolution=None, {said})")(picture(64, 128))[0, :, 0]

    plain = row(remove_near=0.0)
    near, far, both = (
        row(remove_near=25.0),
        row(remove_background=25.0),
        row(remove_near=25.0, remove_background=25.0),
    )
    assert (near[:32] == 255).all() and (near[33:] == plain[33:]).all() and near[33] < 255
    assert (far[-32:] == 0).all() and (far[:-33] == plain[:-33]).all() and far[-33] > 0
    assert (both[:32] == 255).all() and (both[-32:] == 0).all()
    assert (row(remove_near=100.0)[:-1] == 255).all() and (row(remove_background=100.0)[1:] == 0).all()


@pytest.mark.parametrize(
    ("name", "maker", "grey"),
    [
        ("depth_midas", DPTHybrid, 0),
        ("depth_leres", LeReS, 255),
        ("depth_zoe", zoe, 255),
        ("depth_anything_v2", depth_anything, 0),
    ],
)
def test_a_scene_without_depth_has_a_map_of_one_grey(name: str, maker: Any, grey: int) -> None:
    flat = np.full((70, 126) if maker is depth_anything else (64, 128), 3.0)
    load.place(maker, Fixed(flat if maker is zoe else flat[None]))
    assert (condition(f"{name}(resolution=None)")(picture(*flat.shape)) == grey).all()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("depth", "depth_midas"),
        ("depth_midas", "depth_midas"),
        ("depth_leres", "depth_leres"),
        ("depth_zoe", "depth_zoe"),
        ("depth_anything", "depth_anything_v2(version=1)"),
        ("depth_anything_v2", "depth_anything_v2"),
    ],
)
def test_other_tools_names_are_understood(name: str, wanted: str) -> None:
    assert str(condition(name)) == wanted


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("depth_midas", ("dpt_hybrid-midas-501f0c75.pt", "493 MB", "MIT")),
        ("depth_leres", ("res101.pth", "531 MB", "non-commercial")),
        ("depth_zoe", ("zoedepth-nyu-kitti", "1400 MB", "MIT")),
        ("depth_anything_v2", ("Depth-Anything-V2-Small-hf", "99 MB", "Apache-2.0")),
        ('depth_anything_v2(size="large")', ("Depth-Anything-V2-Large-hf", "1341 MB", "CC-BY-NC-4.0")),
    ],
)
def test_missing_weights_are_told_with_what_else_there_is(name: str, said: tuple[str, ...]) -> None:
    with pytest.raises(MissingWeights) as error:
        condition(name)(picture(64, 64))
    for part in (*said, f"controlnet weights fetch {said[0]}", "no classical method", "shapes_depth"):
        assert part in str(error.value)


def test_licences_of_depth_anything_are_those_of_each_file() -> None:
    facts = {one.repo: one.licence for one in type(condition("depth_anything_v2")).weights}
    free = {repo for repo, licence in facts.items() if licence == "Apache-2.0"}
    assert free == {
        "depth-anything/Depth-Anything-V2-Small-hf",
        *(f"LiheYoung/depth-anything-{size}-hf" for size in ("small", "base", "large")),
    }
    described = json.dumps(type(condition("depth_anything_v2")).model_json_schema())
    assert "non-commercial" in described
