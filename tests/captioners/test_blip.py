"""BLIP on a tiny random model: prepared as transformers does, repeatable, its absence told."""

from pathlib import Path

import numpy as np
import pytest
import torch

from controlnet import registry
from controlnet.captioners.blip import _Prepare
from controlnet.errors import CheckpointError, MissingWeights
from tests.tiny_blip import tiny_blip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_blip(tmp_path_factory.mktemp("blip"))


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)


def test_the_same_picture_gets_the_same_words_and_no_more_than_asked(folder: Path) -> None:
    blip = registry.get("captioners", f"blip(model={str(folder)!r}, words=5)")
    blip.ready()
    caption = blip.caption(picture())
    assert caption and caption == blip.caption(picture()) and len(caption.split()) <= 5
    assert str(blip) == f"blip(model={str(folder)!r}, words=5)"


def test_a_prefix_begins_every_caption(folder: Path) -> None:
    blip = registry.get("captioners", f"blip(model={str(folder)!r}, words=3, prefix='a photo')")
    assert blip.caption(picture()).startswith("a photo")


def test_pictures_are_prepared_as_by_transformers(folder: Path) -> None:
    from transformers.models.blip.image_processing_pil_blip import BlipImageProcessorPil

    side = 32
    theirs = BlipImageProcessorPil(size={"height": side, "width": side})(picture(), return_tensors="pt")
    ours = _Prepare(folder, side)(picture())
    assert torch.allclose(theirs["pixel_values"], torch.from_numpy(ours), atol=1e-5)


def test_a_model_that_is_not_here_is_told_with_the_mend(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights, match="hf download Salesforce/blip"):
        registry.get("captioners", "blip").ready()
    with pytest.raises(CheckpointError, match=r"wanted config\.json"):
        registry.get("captioners", f"blip(model={str(tmp_path)!r})").caption(picture())
