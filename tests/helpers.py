"""Made on the fly: a small random pipeline of Stable Diffusion's shape; weight files of official layouts."""

import gzip
import json
import math
from functools import cache
from pathlib import Path

import torch
from torch import Tensor


def tiny_base(folder: Path, prediction_type: str = "epsilon") -> Path:
    """Write the folder and return it; 32-pixel pictures, 4 latent channels of 4×4, 12 skips and a middle."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=4,
            block_out_channels=(8, 8, 16, 16),
            layers_per_block=2,
            cross_attention_dim=16,
            attention_head_dim=2,
            norm_num_groups=4,
        )
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(4, 4, 8, 8),
            norm_num_groups=2,
            layers_per_block=1,
        )
        text = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=_write_tokenizer(folder / "tokenizer"),
                hidden_size=16,
                intermediate_size=16,
                projection_dim=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=64,
                bos_token_id=_LETTERS * 2,
                eos_token_id=_LETTERS * 2 + 1,
                pad_token_id=_LETTERS * 2 + 1,
            )
        )
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )
    for part, name in ((unet, "unet"), (vae, "vae"), (text, "text_encoder"), (scheduler, "scheduler")):
        part.save_pretrained(folder / name)
    parts = {
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    index = {"_class_name": "StableDiffusionPipeline", **parts}
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


_LETTERS = 256  # of a byte-level alphabet; each stands in the vocabulary within a word and at its end


def _write_tokenizer(folder: Path) -> int:
    """Write CLIP's tokenizer with a vocabulary of single letters, 64 tokens a prompt; return its size."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(ByteLevel.alphabet())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary, merges = folder / "vocab.json", folder / "merges.txt"
    vocabulary.write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    merges.write_text("#version: 0.2\n")
    CLIPTokenizer(vocab=str(vocabulary), merges=str(merges), model_max_length=64).save_pretrained(folder)
    return len(tokens)


@cache
def _layouts() -> dict[str, list[tuple[str, list[int]]]]:
    packed = Path(__file__).parent / "data" / "annotator_layouts.json.gz"
    return json.loads(gzip.decompress(packed.read_bytes()))


def official(name: str, seed: int = 0) -> dict[str, Tensor]:
    """Return random tensors of an official annotator's layout: HED, MLSD_large, PiDiNet, body, leres …

    Kernels are scaled by their fan-in, scales lie around 1, variances are positive: activations stay finite.
    """
    generator = torch.Generator().manual_seed(seed)

    def tensor(key: str, shape: list[int]) -> Tensor:
        if key.endswith("num_batches_tracked"):
            return torch.zeros(shape, dtype=torch.int64)
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            return torch.rand(shape, generator=generator) + 0.5
        fan_in = math.prod(shape[1:]) if len(shape) > 1 else 100
        return torch.randn(shape, generator=generator) / math.sqrt(max(1, fan_in))

    return {key: tensor(key, shape) for key, shape in _layouts()[name]}
