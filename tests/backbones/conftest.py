"""Small bases, all weights random, written as diffusers pipeline folders: the parts of SD and of SDXL."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from controlnet.backbones.unet import UNet
from tests.backbones.original import NAMES, original, write_file, write_folder

BETAS = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
}


def tokenizer() -> Any:
    from transformers.models.clip.tokenization_clip import CLIPTokenizer

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)]
    tokens = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={t: i for i, t in enumerate(tokens)}, merges=[], model_max_length=7)


def text_encoder(width: int, projected: bool = False) -> Any:
    from transformers.models.clip.configuration_clip import CLIPTextConfig
    from transformers.models.clip.modeling_clip import CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=54,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=10,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=7,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def vae(kind: str) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    levels = 4
    if kind == "kl":
        return AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            block_out_channels=(4,) * levels,
            norm_num_groups=2,
            layers_per_block=1,
            scaling_factor=0.2,
            shift_factor=0.1,
        )
    widths = {"encoder_block_out_channels": (4,) * levels, "decoder_block_out_channels": (4,) * levels}
    return AutoencoderTiny(**widths, num_encoder_blocks=(1,) * levels, num_decoder_blocks=(1,) * levels)


def write(folder: Path, variant: str = "sd", autoencoder: str = "kl", **scheduler: Any) -> Path:
    """Write a base: "sd" and "sd2" have one text encoder, "sdxl" two."""
    torch.manual_seed(0)
    network = UNet().tiny(variant).network
    parts: dict[str, Any] = {"unet": network, "vae": vae(autoencoder), "tokenizer": tokenizer()}
    if variant == "sdxl":
        parts |= {"text_encoder": text_encoder(4), "text_encoder_2": text_encoder(8, projected=True)}
        parts |= {"tokenizer_2": tokenizer()}
    else:
        parts |= {"text_encoder": text_encoder(network.config.cross_attention_dim)}
    index: dict[str, Any] = {"_class_name": "AnyPipeline", "safety_checker": [None, None]}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = [type(part).__module__.partition(".")[0], type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler").mkdir()
    settings = {"_class_name": "PNDMScheduler", **BETAS, **scheduler}
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("bases") / "small-sd")


@pytest.fixture(scope="session")
def xl_folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("bases") / "small-xl", "sdxl")


@pytest.fixture
def write_base():
    return write


@pytest.fixture(scope="session")
def bases(tmp_path_factory):
    """Each family's folder, and the tensors of its file."""
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("bases") / name
        found[name] = folder, original(write_folder(folder, name), name)
    return found


@pytest.fixture(scope="session")
def files(bases, tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    return {name: write_file(place / f"{name}.safetensors", tensors) for name, (_, tensors) in bases.items()}
