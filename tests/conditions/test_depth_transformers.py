"""Zoe and Depth Anything, models of transformers: what they are given, and from where they come."""

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
from controlnet.conditions._networks.zoe import Zoe, fitted
from controlnet.errors import CheckpointError, MissingWeights
from tests.annotators import depth_anything_v2 as tiny_depth_anything
from tests.annotators import depth_zoe as tiny_zoe


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    yield
    load.forget()


def picture(height: int, width: int) -> Pixels:
    return np.random.default_rng(height + width).integers(0, 255, (height, width, 3), dtype=np.uint8)


@torch.no_grad()
def test_zoe_sees_what_its_own_processor_would_give() -> None:
    from transformers.models.zoedepth.image_processing_pil_zoedepth import ZoeDepthImageProcessorPil

    seen: list[Tensor] = []

    class Seer(nn.Module):
        def forward(self, pixel_values: Tensor) -> Any:
            seen.append(pixel_values)
            return type("Output", (), {"predicted_depth": pixel_values[:, 0]})

    processor = ZoeDepthImageProcessorPil(
        size={"height": 384, "width": 512}, ensure_multiple_of=32, keep_aspect_ratio=True
    )
    for sides in ((64, 64), (100, 300), (300, 90)):
        pixels = picture(*sides)
        load.ready(Zoe(Seer()))(load.to_input(pixels))
        wanted = processor.preprocess(pixels, return_tensors="pt")["pixel_values"]
        assert torch.allclose(seen[-2], wanted, atol=1e-6)
        assert torch.allclose(
            seen[-1],
            processor.preprocess(pixels[:, ::-1].copy(), return_tensors="pt")["pixel_values"],
            atol=1e-6,
        )


def test_sides_fit_what_zoe_was_trained_on() -> None:
    assert fitted(384, 512) == (384, 512)
    assert fitted(768, 1024) == (384, 512)
    assert fitted(512, 512) == (512, 512)  # its width changes nothing
    assert fitted(1, 4000) == (32, 512)
    assert fitted(400, 1) == (384, 32)


def test_zoe_sees_a_mirrored_picture_mirrored() -> None:
    tiny_zoe.place_random()
    pixels = picture(64, 96)
    detector = condition("depth_zoe(resolution=None)")
    found, mirrored = detector(pixels), detector(pixels[:, ::-1].copy())
    assert np.ptp(found) == 255
    assert np.abs(found.astype(int) - mirrored[:, ::-1].astype(int)).max() <= 1


FOLDERS = {
    "depth_zoe": ("zoedepth-nyu-kitti", tiny_zoe.tiny),
    'depth_zoe(scenes="rooms")': ("zoedepth-nyu", tiny_zoe.tiny),
    "depth_anything_v2": ("Depth-Anything-V2-Small-hf", tiny_depth_anything.tiny),
    'depth_anything_v2(size="large")': ("Depth-Anything-V2-Large-hf", tiny_depth_anything.tiny),
    "depth_anything": ("depth-anything-small-hf", tiny_depth_anything.tiny),
    'depth_anything(size="base")': ("depth-anything-base-hf", tiny_depth_anything.tiny),
}


@pytest.mark.parametrize("spec", FOLDERS)
def test_the_model_comes_from_the_folder_of_its_name(spec: str, tmp_path: Path) -> None:
    folder, make = FOLDERS[spec]
    detector = condition(spec).model_copy(update={"resolution": 64})
    with pytest.raises(MissingWeights, match=folder):
        detector(picture(40, 64))
    make().save_pretrained(tmp_path / folder)
    assert np.ptp(detector(picture(40, 64))) > 0


def test_a_model_that_lacks_a_tensor_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "Depth-Anything-V2-Small-hf"
    tiny_depth_anything.tiny().save_pretrained(folder)
    state = load_file(folder / "model.safetensors")
    lost = next(key for key in state if key.startswith("head."))
    mask = next(key for key in state if key.endswith("mask_token"))  # only training needs it

    def keep(*without: str) -> None:
        kept = {key: value for key, value in state.items() if key not in without}
        save_file(kept, folder / "model.safetensors", {"format": "pt"})

    keep(mask)
    condition("depth_anything_v2(resolution=64)")(picture(40, 64))
    load.forget()
    keep(lost)
    with pytest.raises(CheckpointError, match=lost):
        condition("depth_anything_v2(resolution=64)")(picture(40, 64))
    (folder / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="fetch it again"):
        condition("depth_anything_v2(resolution=64)")(picture(40, 64))


def test_loading_is_silent_and_leaves_transformers_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils import logging

    folder = tmp_path / "Depth-Anything-V2-Small-hf"
    tiny_depth_anything.tiny().save_pretrained(folder)
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    capfd.readouterr()
    condition("depth_anything_v2(resolution=64)")(picture(40, 64))
    assert capfd.readouterr() == ("", "")
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_a_pickle_in_a_folder_is_never_opened(tmp_path: Path) -> None:
    folder = tmp_path / "Depth-Anything-V2-Small-hf"
    model = tiny_depth_anything.tiny()
    model.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="fetch it again"):
        condition("depth_anything_v2(resolution=64)")(picture(40, 64))
