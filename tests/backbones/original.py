"""Small random bases of the published families: a diffusers folder, and one file of the original code."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from controlnet.backbones._ldm_names import renamed, unet_names
from controlnet.backbones._single_file.family import family
from controlnet.backbones._single_file.tokenizer import tokenizer
from controlnet.backbones._single_file.vae import vae_names

NAMES = ("sd1", "sd2", "sdxl")
WIDTH = 32
LEVELS = (32, 32, 64, 64)
SDXL: dict[str, Any] = {
    "block_out_channels": (32, 32, 64),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 1, 2),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": WIDTH + 6 * 256,
    "cross_attention_dim": 2 * WIDTH,
}


def unet(name: str) -> Any:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config: dict[str, Any] = {"block_out_channels": LEVELS, "layers_per_block": 1}
    config |= {"cross_attention_dim": WIDTH}
    config |= SDXL if name == "sdxl" else {}
    if name == "sd1":
        config |= {"attention_head_dim": 8}
    else:
        heads = tuple(max(1, width // 64) for width in config["block_out_channels"])
        config |= {"attention_head_dim": heads, "use_linear_projection": True}
    return UNet2DConditionModel(**config, sample_size=family(name).unet["sample_size"])


def vae(name: str) -> Any:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 64),
        layers_per_block=1,
        **family(name).vae,
    )


def text_encoder(
    settings: dict[str, Any], width: int = WIDTH, inner: int = 48, layers: int = 2, heads: int = 1
) -> Any:
    from transformers.models.clip import modeling_clip
    from transformers.models.clip.configuration_clip import CLIPTextConfig

    config = CLIPTextConfig(
        hidden_size=width,
        intermediate_size=inner,
        projection_dim=width,
        num_hidden_layers=settings["most_layers"] or layers,
        num_attention_heads=heads,
        hidden_act=settings["hidden_act"],
        bos_token_id=0,
        eos_token_id=2,
    )
    return getattr(modeling_clip, settings["class"])(config)


def write_folder(folder: Path, name: str) -> dict[str, Any]:
    """Write a base as a diffusers folder; return its models."""
    torch.manual_seed(3)
    told = family(name)
    parts = {"unet": unet(name), "vae": vae(name)}
    for slot, settings in enumerate(told.text_encoders):
        parts[f"text_encoder{'_2' * slot}"] = text_encoder(settings)
    for part in parts.values():
        for parameter in part.parameters():  # no norm or bias is as it was made: a mix-up would show
            parameter.data.add_(0.02 * torch.randn(parameter.shape))
    tokenizers = {f"tokenizer{'_2' * k}": tokenizer(**own) for k, own in enumerate(told.tokenizers)}
    index = {"_class_name": "AnyPipeline"}
    for part, model in (parts | tokenizers).items():
        model.save_pretrained(folder / part)
        index[part] = [type(model).__module__.partition(".")[0], type(model).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(told.scheduler))
    return parts


def original(parts: dict[str, Any], name: str) -> dict[str, Tensor]:
    """Return the same weights as the original code names and shapes them."""
    net, autoencoder = parts["unet"], parts["vae"]
    table = renamed(net.state_dict(), unet_names(net))
    found = {f"model.diffusion_model.{table[own]}": t for own, t in net.state_dict().items()}
    moved = renamed(autoencoder.state_dict(), vae_names(4))
    for own, tensor in autoencoder.state_dict().items():
        kernel = "attn_1" in moved.get(own, own) and tensor.ndim == 2
        found[f"first_stage_model.{moved.get(own, own)}"] = tensor[..., None, None] if kernel else tensor
    if name == "sd1":
        found |= clip(parts["text_encoder"], "cond_stage_model.transformer.text_model.")
    elif name == "sd2":
        found |= open_clip(parts["text_encoder"], "cond_stage_model.model.", more=1)
    else:
        found |= clip(parts["text_encoder"], "conditioner.embedders.0.transformer.text_model.")
        found |= open_clip(parts["text_encoder_2"], "conditioner.embedders.1.model.")
    found["alphas_cumprod"] = torch.ones(1000)
    return {key: tensor.detach().clone().contiguous() for key, tensor in found.items()}


def clip(encoder: Any, prefix: str) -> dict[str, Tensor]:
    state = {key.removeprefix("text_model."): t for key, t in encoder.state_dict().items()}
    places = torch.arange(77)[None]
    return {prefix + key: t for key, t in state.items()} | {f"{prefix}embeddings.position_ids": places}


def open_clip(encoder: Any, prefix: str, more: int = 0) -> dict[str, Tensor]:
    """Stack queries, keys and values; `more` layers follow that are not used."""
    state = {key.removeprefix("text_model."): t for key, t in encoder.state_dict().items()}
    width = encoder.config.hidden_size
    found = {
        "token_embedding.weight": state["embeddings.token_embedding.weight"],
        "positional_embedding": state["embeddings.position_embedding.weight"],
        "logit_scale": torch.tensor(4.6),
        "text_projection": state.get("text_projection.weight", torch.ones(width, width)).T,
    }
    count = encoder.config.num_hidden_layers
    for kind in ("weight", "bias"):
        found[f"ln_final.{kind}"] = state[f"final_layer_norm.{kind}"]
        for layer in range(count + more):
            own, their = f"encoder.layers.{min(layer, count - 1)}", f"transformer.resblocks.{layer}"
            stacked = [state[f"{own}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            found[f"{their}.attn.in_proj_{kind}"] = torch.cat(stacked)
            found[f"{their}.attn.out_proj.{kind}"] = state[f"{own}.self_attn.out_proj.{kind}"]
            for a, b in (("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")):
                found[f"{their}.{a}.{kind}"] = state[f"{own}.{b}.{kind}"]
            for a, b in (("mlp.c_fc", "mlp.fc1"), ("mlp.c_proj", "mlp.fc2")):
                found[f"{their}.{a}.{kind}"] = state[f"{own}.{b}.{kind}"]
    return {prefix + key: tensor for key, tensor in found.items()}


def write_file(path: Path, tensors: dict[str, Tensor]) -> Path:
    save_file(tensors, path, {"format": "pt"})
    return path


def same(one: Any, other: Any) -> bool:
    """Tell whether two networks have equal weights by equal names."""
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def unmapped(base: Any) -> Any:
    """Copy the weights: in a mapped file they lie at other addresses, by which sums are rounded otherwise."""
    for part in (base.network, base.vae, *base.text_encoders):
        for parameter in part.parameters():
            parameter.data = parameter.data.clone()
    return base
