"""Textual-inversion files in every layout, and what is refused of them."""

import io
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from controlnet.backbones import Base, load_base
from controlnet.checkpoints.embedding import add_embedding
from controlnet.errors import CheckpointError
from tests.helpers import tiny_base

WIDTH = 16
TWO = torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def loaded(folder: Path) -> Base:
    return load_base(folder)


@pytest.fixture
def base(loaded: Base) -> Base:
    loaded.words.clear()
    return loaded


def write(path: Path, content: Any) -> Path:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    return path


LAYOUTS: dict[str, tuple[str, Any, str, int]] = {
    "web UI, safetensors": ("style.safetensors", {"emb_params": TWO}, "style", 2),
    "diffusers, safetensors": ("learned.safetensors", {"<cat-toy>": TWO}, "<cat-toy>", 2),
    "diffusers, bin": ("learned_embeds.bin", {"<cat-toy>": TWO[0]}, "<cat-toy>", 1),
    "web UI, pt": (
        "any.pt",
        {"string_to_token": {"*": 265}, "string_to_param": {"*": TWO}, "name": "mine", "step": 500},
        "mine",
        2,
    ),
    "with gradients": (
        "any.pt",
        {"string_to_param": {"*": torch.nn.Parameter(TWO)}, "name": "mine"},
        "mine",
        2,
    ),
    "without a name": ("bad hands.pt", {"string_to_param": {"*": TWO}}, "bad hands", 2),
    "half precision": ("style.safetensors", {"emb_params": TWO.half()}, "style", 2),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(base: Base, tmp_path: Path, layout: str) -> None:
    file, content, word, count = LAYOUTS[layout]
    path = write(tmp_path / file, content)
    plain, before = (base.encode_prompts([f"a {text}"]).tokens for text in ("", word))
    assert add_embedding(base, path) == word
    [vectors] = base.words[word]
    torch.testing.assert_close(vectors, TWO[:count], rtol=0, atol=1e-2 if "half" in layout else 0)
    after = base.encode_prompts([f"a {word}"]).tokens
    assert not torch.equal(after, before) and not torch.equal(after, plain)
    assert torch.equal(base.encode_prompts(["a "]).tokens, plain)


def test_a_word_of_one_s_own(base: Base, tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", {"<cat-toy>": TWO})
    assert add_embedding(base, path, "toy") == "toy"
    assert set(base.words) == {"toy"}
    add_embedding(base, write(tmp_path / "b.pt", {"<cat-toy>": TWO[:1]}), "toy")
    assert len(base.words["toy"][0]) == 1


REFUSED: dict[str, tuple[str, Any, str]] = {
    "another width": ("a.safetensors", {"emb_params": torch.zeros(2, 768)}, r"\(2, 768\).* of width 16"),
    "of sdxl": (
        "a.safetensors",
        {"clip_l": torch.zeros(2, 768), "clip_g": torch.zeros(2, 1280)},
        r"\(2, 1280\).*1 text encoders of width 16",
    ),
    "more than a chunk": ("a.pt", {"x": torch.zeros(63, WIDTH)}, "63 vectors.*1 to 62"),
    "no vector": ("a.pt", {"x": torch.zeros(0, WIDTH)}, "0 vectors"),
    "a LoRA": (
        "a.safetensors",
        {"x.lora_up": TWO, "x.lora_down": TWO + 1, "c": TWO + 2},
        "3 tensors .*textual inv",
    ),
    "no tensors": ("a.pt", {"string_to_param": {}, "name": "x"}, "0 tensors"),
    "a list": ("a.pt", [TWO], "holds a list"),
    "param a list": ("a.pt", {"string_to_param": [TWO]}, "a list as string_to_param"),
    "whole numbers": ("a.pt", {"x": torch.zeros(2, WIDTH, dtype=torch.int64)}, "int64"),
    "too many dimensions": ("a.pt", {"x": torch.zeros(1, 2, WIDTH)}, r"\(1, 2, 16\)"),
    "not a number": ("a.pt", {"x": TWO / 0}, "not finite"),
    "code": ("a.pt", {"x": io.StringIO}, "asks for .*StringIO.*nothing"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(base: Base, tmp_path: Path, name: str) -> None:
    file, content, message = REFUSED[name]
    path = write(tmp_path / file, content)
    with pytest.raises(CheckpointError, match=message) as caught:
        add_embedding(base, path)
    assert "\n" not in str(caught.value) and not base.words


def test_files_that_are_missing_or_broken(base: Base, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        add_embedding(base, tmp_path / "absent.pt")
    whole = write(tmp_path / "a.safetensors", {"emb_params": TWO}).read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:-8])
    with pytest.raises(CheckpointError, match="cut short"):
        add_embedding(base, tmp_path / "a.safetensors")


def test_sdxl_takes_one_tensor_for_each_encoder(base: Base, tmp_path: Path) -> None:
    """Two encoders of different widths, as SDXL has them."""
    encoders = (*base.text_encoders, _narrow())
    both = Base("xl", base.network, base.vae, encoders, base.tokenizers * 2, base.scheduler_config)
    path = write(tmp_path / "a.safetensors", {"clip_g": torch.ones(2, 8), "clip_l": TWO})
    assert add_embedding(both, path, "mine") == "mine"
    assert [tuple(part.shape) for part in both.words["mine"]] == [(2, WIDTH), (2, 8)]
    with pytest.raises(CheckpointError, match="2 text encoders of width 16 and 8"):
        add_embedding(both, write(tmp_path / "b.safetensors", {"emb_params": TWO}))


def _narrow() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=64,
        )
    )
