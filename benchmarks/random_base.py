"""A base of Stable Diffusion 1.5's architecture with random weights, as a folder that all loaders read."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from transformers.models.clip.configuration_clip import CLIPTextConfig
from transformers.models.clip.modeling_clip import CLIPTextModel

from controlnet.backbones import locate
from controlnet.checkpoints.io import write_pieces
from controlnet.tensorfiles.piece import Piece

UNET: Final[Mapping[str, Any]] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
VAE: Final[Mapping[str, Any]] = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
TEXT: Final[Mapping[str, Any]] = {
    "vocab_size": 49408,
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "max_position_embeddings": 77,
}


def write_base(
    folder: Path,
    unet: Mapping[str, Any] = UNET,
    vae: Mapping[str, Any] = VAE,
    text: Mapping[str, Any] = TEXT,
) -> Path:
    """Write the base; its tokenizer is that of the embedded one, at the text encoder's length.

    The U-Net, in half precision, is never whole in memory.
    """
    embedded, _ = locate("shapes")
    shutil.copytree(embedded / "tokenizer", folder / "tokenizer")
    shutil.copytree(embedded / "scheduler", folder / "scheduler")
    _change(folder / "scheduler" / "scheduler_config.json", {"prediction_type": "epsilon"})
    length = {"model_max_length": text["max_position_embeddings"]}
    _change(folder / "tokenizer" / "tokenizer_config.json", length)
    index = json.loads((embedded / "model_index.json").read_text(encoding="utf-8"))
    index["vae"] = ["diffusers", "AutoencoderKL"]
    (folder / "model_index.json").write_text(json.dumps(index), encoding="utf-8")
    known = json.loads((embedded / "text_encoder" / "config.json").read_text(encoding="utf-8"))
    marks = {key: known[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        AutoencoderKL(**vae).save_pretrained(folder / "vae")
        CLIPTextModel(CLIPTextConfig(**text, **marks)).save_pretrained(folder / "text_encoder")
    with torch.device("meta"):
        network = UNet2DConditionModel(**unet)
    network.save_config(folder / "unet")
    numbers = torch.rand(2**20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pieces = {name: _piece(name, tuple(each.shape), numbers) for name, each in network.state_dict().items()}
    write_pieces(folder / "unet" / "diffusion_pytorch_model.safetensors", pieces, {})
    return folder


def _piece(name: str, shape: tuple[int, ...], numbers: torch.Tensor) -> Piece:
    """Make a tensor up: kernels scaled by their fan-in, so that features stay of size one; norms as new."""

    def load() -> torch.Tensor:
        if len(shape) < 2:
            return torch.full(shape, float("norm" in name and name.endswith("weight"))).half()
        size = torch.Size(shape).numel()
        bound = 0.5 * (3 / torch.Size(shape[1:]).numel()) ** 0.5
        return (bound * numbers.repeat(-(-size // numbers.numel()))[:size].reshape(shape)).half()

    return Piece(shape, torch.float16, load)


def _change(path: Path, values: Mapping[str, Any]) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(found | dict(values)), encoding="utf-8")
