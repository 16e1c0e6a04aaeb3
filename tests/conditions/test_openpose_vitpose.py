"""ViTPose: what its models are given, what is read out of their maps, and from where they come."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from controlnet.conditions import condition
from controlnet.conditions._coco import crop
from controlnet.conditions._networks import load
from controlnet.conditions._networks.vitpose import Keypoints, People, rt_detr, vitpose
from controlnet.conditions.openpose_vitpose import HEIGHT, WIDTH, highest
from controlnet.errors import CheckpointError, MissingWeights
from tests.annotators.openpose_vitpose import tiny

BOX = np.array([40.0, 30.0, 60.0, 120.0])  # left, top, width, height


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    yield
    load.forget()


def smooth(height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(height).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX))  # pyright: ignore[reportCallIssue, reportArgumentType]


def bells(at: np.ndarray) -> np.ndarray:
    """Return maps (17, 64, 48) with a bell at each place."""
    y, x = np.mgrid[:64, :48]
    maps = [0.9 * np.exp(-((x - px) ** 2 + (y - py) ** 2) / 8) for px, py in at]
    return np.stack(maps).astype(np.float32)


@torch.no_grad()
def test_people_are_where_the_models_own_processor_says() -> None:
    from transformers.models.rt_detr.image_processing_pil_rt_detr import RTDetrImageProcessorPil

    model, _ = tiny()
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, __, given: seen.append(given["pixel_values"]), with_kwargs=True)
    picture, processor = smooth(150, 210), RTDetrImageProcessorPil()
    found = load.ready(People(model))(load.to_input(picture))
    wanted = processor.preprocess(picture, return_tensors="pt")["pixel_values"]
    assert (seen[0] - wanted).abs().max() < 1.01 / 255  # that one rounds
    said = model(pixel_values=seen[0])
    (told,) = processor.post_process_object_detection(said, threshold=0.0, target_sizes=[(150, 210)])
    people = told["labels"] == 0
    assert people.any()
    for box, sure in zip(told["boxes"][people], told["scores"][people], strict=True):
        row = found[(found[:, 4] - sure).abs().argmin()]
        torch.testing.assert_close(row, torch.cat([box, sure[None]]), atol=1e-3, rtol=0)


def test_crops_are_those_of_the_models_own_processor() -> None:
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    picture = smooth(200, 180)
    wanted = VitPoseImageProcessorPil()(picture, boxes=[[BOX.tolist()]], return_tensors="pt")["pixel_values"]
    cut, _, _ = crop(picture, np.concatenate([BOX[:2], BOX[:2] + BOX[2:]]), HEIGHT, WIDTH, unbiased=True)
    seen: list[Tensor] = []

    class Seer(nn.Module):
        def forward(self, pixel_values: Tensor) -> Any:
            seen.append(pixel_values)
            return SimpleNamespace(heatmaps=pixel_values)

    Keypoints(Seer())(load.to_input(cut))
    inside = (..., slice(30, 220), slice(30, 160))  # beyond the picture both are black, but not its border
    assert (seen[0] - wanted)[inside].abs().max() < 0.02 * 2  # of a deviation


def test_keypoints_are_read_as_the_models_own_processor_reads_them() -> None:
    from transformers.models.vitpose.image_processing_pil_vitpose import VitPoseImageProcessorPil

    rng = np.random.default_rng(0)
    heat = bells(rng.uniform(0, (47, 63), (17, 2))) + rng.normal(0, 0.002, (17, 64, 48)).astype(np.float32)
    outputs = SimpleNamespace(heatmaps=torch.from_numpy(heat)[None])
    ((told,),) = VitPoseImageProcessorPil().post_process_pose_estimation(outputs, boxes=[[BOX.tolist()]])
    _, corner, size = crop(
        smooth(200, 180), np.concatenate([BOX[:2], BOX[:2] + BOX[2:]]), HEIGHT, WIDTH, unbiased=True
    )
    found = highest(heat)
    np.testing.assert_allclose(found[:, :2] * size / (47, 63) + corner, told["keypoints"], atol=1e-3)
    np.testing.assert_allclose(found[:, 2], told["scores"])


def test_a_person_is_found_where_the_models_see_one() -> None:
    at = np.random.default_rng(1).uniform(5, (42, 58), (17, 2))
    load.place(rt_detr, lambda picture: torch.tensor([[40.0, 30, 100, 150, 0.9], [0, 0, 50, 50, 0.2]]))
    load.place(vitpose, lambda crops: torch.from_numpy(bells(at))[None])
    detector = condition("openpose_vitpose(resolution=None)")
    pose = detector.find_people(np.zeros((200, 180, 3), np.uint8))
    (person,) = pose.people
    size = np.array([0.75, 1]) * 150  # a quarter more than the box is high
    wanted = at / (47, 63) * size + (70, 90) - size / 2
    np.testing.assert_allclose(person.body[0, :2], wanted[0], atol=0.2)
    np.testing.assert_allclose(person.body[[2, 5], :2], wanted[[6, 5]], atol=0.2)
    np.testing.assert_allclose(person.body[1, :2], person.body[[2, 5], :2].mean(axis=0))
    assert person.left_hand is None and person.face is None
    drawn = detector.draw(pose)
    assert drawn.any() and not condition("openpose_vitpose(least=0.95)").find_people(drawn).people


def test_the_models_come_from_the_folders_of_their_names(tmp_path: Path) -> None:
    detector, picture = condition("openpose_vitpose(resolution=64)"), np.zeros((64, 64, 3), np.uint8)
    for folder, model in zip(("rtdetr_r50vd_coco_o365", "vitpose-base-simple"), tiny(), strict=True):
        with pytest.raises(MissingWeights, match=folder):
            detector(picture)
        model.save_pretrained(tmp_path / folder)
    assert detector(picture).shape == (64, 64, 3)
    load.forget()
    (tmp_path / "vitpose-base-simple" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="fetch it again"):
        detector(picture)
