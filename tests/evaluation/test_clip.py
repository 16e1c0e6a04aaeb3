"""CLIP score and aesthetics, with a small random CLIP in a folder, against transformers' own arithmetic."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.conditions._networks.load import forget
from controlnet.errors import CheckpointError, MissingWeights, SettingError
from controlnet.evaluation._networks.clip import Clip, LinearPredictor, Predictor
from controlnet.evaluation.metrics.aesthetic import Aesthetic
from controlnet.evaluation.metrics.clip_score import ClipScore
from tests.helpers import _write_tokenizer

SIDE = 30
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (41, 67, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig

    out = tmp_path_factory.mktemp("clip")
    words = _write_tokenizer(out)
    shape: Any = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text = CLIPTextConfig(
        vocab_size=words, max_position_embeddings=20, bos_token_id=words - 2, eos_token_id=words - 1, **shape
    )
    vision = CLIPVisionConfig(image_size=SIDE, patch_size=10, **shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = CLIPModel(
            CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=768)
        )
    model.save_pretrained(out)
    yield out
    forget()


def test_the_picture_is_prepared_as_the_published_preprocessing_does(folder: Path) -> None:
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    processor = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    for picture in (PICTURE, PICTURE.transpose(1, 0, 2).copy()):
        wanted = np.asarray(processor(Image.fromarray(picture))["pixel_values"][0])
        assert Clip(folder)._resized(picture)[0].numpy() == pytest.approx(wanted, abs=1e-5)


def test_the_score_is_the_cosine_of_transformers_embeddings(folder: Path) -> None:
    from transformers import CLIPModel

    model: Any = CLIPModel.from_pretrained(folder)
    own = Clip(folder)
    text = "a red cube"
    tokens = own._tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        told = model(**tokens, pixel_values=own._resized(PICTURE))
    wanted = float(torch.nn.functional.cosine_similarity(told.image_embeds, told.text_embeds))
    metric = ClipScore(model=str(folder))
    metric.update(PICTURE, PICTURE, text)
    metric.update(PICTURE, PICTURE, " ")  # no prompt has no score
    found = metric.compute()
    assert found["clip_score"] == pytest.approx(wanted, abs=1e-6) and metric.count == 1
    assert found["clip_score_percent"] == pytest.approx(100 * max(wanted, 0), abs=1e-4)
    assert found["clip_score_hessel"] == pytest.approx(2.5 * max(wanted, 0), abs=1e-5)


@pytest.mark.parametrize("kind", [Predictor, LinearPredictor])
def test_aesthetics_by_either_predictor(kind: Any, folder: Path, tmp_path: Path) -> None:
    predictor = kind()
    with torch.no_grad():
        for parameter in predictor.parameters():
            parameter.normal_(0, 0.1)
    torch.save(predictor.state_dict(), tmp_path / "predictor.pth")
    metric = Aesthetic(predictor=str(tmp_path / "predictor.pth"), model=str(folder))
    metric.update(PICTURE, PICTURE, "")
    with torch.no_grad():
        wanted = float(predictor(Clip(folder).picture(PICTURE)))
    assert metric.compute()["aesthetic"] == pytest.approx(wanted, abs=1e-5)


def test_what_is_lacking_is_named(folder: Path, tmp_path: Path) -> None:
    for metric in (ClipScore(), ClipScore(model="openai/clip-vit-base-patch16")):
        with pytest.raises(MissingWeights, match=r"clip-vit-.*controlnet weights fetch"):
            metric.update(PICTURE, PICTURE, "a red cube")
    with pytest.raises(MissingWeights, match="linearMSE"):
        Aesthetic(model=str(folder)).update(PICTURE, PICTURE, "")
    with pytest.raises(SettingError, match="no file"):
        Aesthetic(predictor=str(tmp_path / "none.pth"))
    torch.save({"weight": torch.zeros(1, 512), "bias": torch.zeros(1)}, tmp_path / "small.pth")
    with pytest.raises(CheckpointError, match="another shape"):
        Aesthetic(predictor=str(tmp_path / "small.pth"))
