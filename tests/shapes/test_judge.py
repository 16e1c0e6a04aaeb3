"""The judge: its weights are there, it reads what it says it reads, and it takes any picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from controlnet.errors import CheckpointError, DataError
from controlnet.shapes.judge import WEIGHTS, Judge, embedded_judge, load_judge, place_joints, quality
from controlnet.shapes.palette import CLASSES, FLOORS, SKIES
from controlnet.shapes.recipe.judge import measure
from controlnet.shapes.render import View

PERSON = CLASSES.index("person")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


def test_it_is_as_good_as_it_says(judge: Judge) -> None:
    """On scenes beyond those of quality.json; few of them, hence the margins."""
    found, promised = measure(judge, count=24), quality()
    shares = [name for name in promised if name.endswith(("accuracy", "miou", "pck"))]
    assert len(shares) == 6
    for name in shares:
        assert found[name] > promised[name] - 0.06, name
    assert found["depth_rmse"] < 1.5 * promised["depth_rmse"]
    assert found["normal_degrees"] < 1.5 * promised["normal_degrees"]


def test_it_is_good_enough_to_judge() -> None:
    promised = quality()
    assert promised["attribute_accuracy"] > 0.95 and promised["class_miou"] > 0.85
    assert promised["scenes"] >= 300


def test_it_is_small_and_locked(judge: Judge) -> None:
    assert (WEIGHTS / "judge.safetensors").stat().st_size < 2_000_000
    assert not judge.training and not any(p.requires_grad for p in judge.parameters())
    assert embedded_judge() is embedded_judge()


def test_it_reads_what_was_rendered(judge: Judge, views: list[View]) -> None:
    readings = judge.read([view.image for view in views])
    for view, reading in zip(views, readings, strict=True):
        assert (reading.classes == view.classes).mean() > 0.95
        seen = (reading.classes != 0) & (view.classes != 0)
        assert np.median(np.abs(reading.depth[seen] / view.depth[seen] - 1)) < 0.1
        assert np.isinf(reading.depth[reading.classes == 0]).all()
        assert (reading.keypoints is None) == ((reading.classes == PERSON).sum() < 25)


def test_a_reading_draws_the_same_maps_as_a_view(judge: Judge, views: list[View]) -> None:
    view = next(view for view in views if view.keypoints is not None)
    reading = judge.read([view.image])[0]
    for name in ("depth", "normal", "segmentation", "openpose"):
        drawn, true = reading.control(name), view.control(name)
        assert drawn.shape == true.shape and drawn.dtype == np.uint8
        assert np.abs(drawn.astype(int) - true).mean() < 12


def test_company_does_not_matter(judge: Judge, views: list[View]) -> None:
    pictures = [view.image for view in views]  # as many as a batch
    together, alone = judge.read([*pictures, pictures[0]])[-1], judge.read(pictures[:1])[0]
    assert np.array_equal(together.classes, alone.classes)
    assert np.allclose(together.normals, alone.normals, atol=1e-4)


@pytest.mark.parametrize("size", [(64, 64), (128, 192), (50, 70), (1, 1), (17, 33)])
def test_it_takes_any_size(judge: Judge, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    reading = judge.read([picture])[0]
    assert reading.classes.shape == reading.tints.shape == reading.depth.shape == size
    assert reading.normals.shape == (*size, 3)
    assert reading.floor in FLOORS and reading.sky in SKIES


def test_no_picture_no_reading(judge: Judge) -> None:
    assert judge.read([]) == []


@pytest.mark.parametrize(
    "pictures",
    [
        [np.zeros((16, 16, 3))],
        [np.zeros((16, 16), np.uint8)],
        [np.zeros((16, 0, 3), np.uint8)],
        [np.zeros((16, 16, 3), np.uint8), np.zeros((16, 32, 3), np.uint8)],
    ],
)
def test_other_arrays_are_refused(judge: Judge, pictures: list[np.ndarray]) -> None:
    with pytest.raises(DataError, match="wanted"):
        judge.read(pictures)


def test_a_place_between_pixels_is_found() -> None:
    logits = torch.full((1, 18, 8 * 8 + 1), -20.0)
    logits[0, :, 3 * 8 + 2] = logits[0, :, 3 * 8 + 3] = 5.0  # row 3, between columns 2 and 3, of 2×2 pixels
    logits[0, 7, -1] = 9.0  # more likely nowhere
    points = place_joints(logits, 8)[0]
    assert torch.allclose(points[0, :2], torch.tensor([6.0, 7.0]), atol=1e-3)
    assert points[0, 2] > 0.9 and points[7, 2] == 0


def test_missing_or_foreign_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="controlnet shapes"):
        load_judge(tmp_path / "none.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((WEIGHTS / "judge.safetensors").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"cut\.safetensors"):
        load_judge(tmp_path / "cut.safetensors")
    save_file({"stem.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        load_judge(tmp_path / "other.safetensors")
