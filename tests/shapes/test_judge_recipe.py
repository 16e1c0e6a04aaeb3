"""The judge's training: mirrored truths stay true, losses are lowest at the truth, files are left."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch.nn import functional as F

from controlnet.shapes.figure import JOINTS
from controlnet.shapes.judge import NEAR, Heads, Judge, load_judge
from controlnet.shapes.palette import CLASSES, FLOORS, SKIES
from controlnet.shapes.recipe import judge as recipe
from controlnet.shapes.recipe.fit import Schedule
from controlnet.shapes.recipe.judge import Truth, degraded, losses, measure, train
from controlnet.shapes.render import View, render

COUNT = 12


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write one chunk of a dozen scenes, as `write_corpus` would write 500."""
    folder = tmp_path_factory.mktemp("corpus")
    views = [render(recipe.SEED, index) for index in range(COUNT)]
    assert any(view.keypoints is not None for view in views)
    unseen = np.full((18, 3), -1, np.float32)
    np.savez(
        folder / "00000.npz",
        image=np.stack([view.image for view in views]),
        depth=np.stack([view.depth for view in views]).astype(np.float16),
        normals=np.stack([np.rint(view.normals * 127) for view in views]).astype(np.int8),
        classes=np.stack([view.classes for view in views]),
        tints=np.stack([view.tints for view in views]),
        keypoints=np.stack([unseen if view.keypoints is None else view.keypoints for view in views]),
    )
    return folder


def as_heads(truth: Truth, sure: float = 20.0) -> Heads:
    """Say the truth, with certainty."""
    joints = torch.full((len(truth.image), 18, 64 * 64 + 1), -sure)
    for picture, points in enumerate(truth.keypoints):
        for joint, (x, y, seen) in enumerate(points.tolist()):
            joints[picture, joint, int(y // 2) * 64 + int(x // 2) if seen > 0 else -1] = sure
    return Heads(
        classes=F.one_hot(truth.classes.long(), len(CLASSES)).permute(0, 3, 1, 2) * sure,
        tints=F.one_hot(truth.tints.long(), 9).permute(0, 3, 1, 2) * sure,
        depth=NEAR / truth.depth.float()[:, None],
        normals=F.normalize(truth.normals.permute(0, 3, 1, 2).float(), dim=1),
        joints=joints,
        floor=F.one_hot(truth.floors, len(FLOORS)) * sure,
        sky=F.one_hot(truth.skies, len(SKIES)) * sure,
    )


def test_the_truth_costs_nothing_and_lies_cost(corpus: Path) -> None:
    truth = Truth.of_corpus(corpus, COUNT)
    heads = as_heads(truth)
    for name, value in losses(heads, truth).items():
        if name not in ("joints", "loss"):  # a joint's blob covers several places, of which one was named
            assert abs(value) < 1e-3, name
    wrong = Heads(*(part.roll(1, 0) for part in heads))
    for name, value in losses(wrong, truth).items():
        assert value > losses(heads, truth)[name] + 0.02, name


def test_mirrored_scenes_stay_true(corpus: Path) -> None:
    truth = Truth.of_corpus(corpus, COUNT)
    drawn = truth.draw(60, torch.Generator().manual_seed(0))
    turned = 0
    for number in range(60):
        matches = [i for i in range(COUNT) if torch.equal(drawn.image[number], truth.image[i].flip(1))]
        if not matches:
            continue
        turned, original = turned + 1, matches[0]
        for name in ("depth", "classes", "tints"):
            assert torch.equal(getattr(drawn, name)[number], getattr(truth, name)[original].flip(1)), name
        flipped = truth.normals[original].flip(1) * torch.tensor([-1, 1, 1])
        assert torch.equal(drawn.normals[number].int(), flipped.int())
        points, before = drawn.keypoints[number], truth.keypoints[original]
        right, left = JOINTS.index("right_wrist"), JOINTS.index("left_wrist")
        assert torch.equal(points[:, 2] > 0, before[recipe._MIRRORED, 2] > 0)
        if before[left, 2] > 0:
            assert points[right, 0] == 128 - before[left, 0] and points[right, 1] == before[left, 1]
    assert 15 < turned < 45


def test_degraded_pictures_differ_a_little() -> None:
    picture = torch.from_numpy(render(1, 0).image).permute(2, 0, 1).float() / 127.5 - 1
    pictures = picture.expand(32, 3, 128, 128)
    out = degraded(pictures, torch.Generator().manual_seed(0))
    apart = (out - pictures).abs().mean(dim=(1, 2, 3))
    assert out.min() >= -1 and out.max() <= 1
    assert 0.005 < apart.mean() < 0.08 and apart.std() > 0.003
    assert torch.equal(out, degraded(pictures, torch.Generator().manual_seed(0)))


def test_a_run_leaves_weights_and_errors(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipe, "BATCH", 2)
    monkeypatch.setattr(recipe, "MEASURED", 4)
    monkeypatch.setattr(measure, "__defaults__", (2, 4))
    logs = list(train(corpus, tmp_path, COUNT, Schedule(steps=3, lr=1e-3, warmup=1)))
    assert [log["step"] for log in logs] == [1, 2, 3] and {"classes", "joints", "floor"} <= set(logs[0])
    quality = json.loads((tmp_path / "quality.json").read_text())
    assert quality["scenes"] == 4
    with safe_open(tmp_path / "judge.safetensors", "pt") as file:
        assert json.loads(file.metadata()["quality"]) == quality
        assert {file.get_tensor(name).dtype for name in file.keys()} == {torch.float16}  # noqa: SIM118
    again = measure(load_judge(tmp_path / "judge.safetensors"), 2, 4)
    assert again == pytest.approx(quality, rel=1e-2, abs=1e-2)


def test_a_perfect_judge_measures_perfect(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measures themselves, on readings that are the truth."""
    from tests.shapes.test_attributes import true_reading

    views: list[View] = [render(2, index) for index in range(8)]
    monkeypatch.setattr(Judge, "read", lambda self, pictures: [true_reading(view) for view in views])
    found = measure(Judge(), 2, 8)
    assert found["class_miou"] == found["tint_accuracy"] == found["keypoint_pck"] == 1
    assert found["floor_accuracy"] == found["sky_accuracy"] == 1 and found["attribute_accuracy"] > 0.95
    assert found["depth_rmse"] == 0 and found["normal_degrees"] < 0.05
