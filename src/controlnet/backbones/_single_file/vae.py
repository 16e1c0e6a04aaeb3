"""The VAE of a base in one file, or alone in its own: ldm's names or diffusers'.

diffusers                                       ldm
encoder.down_blocks.i.resnets.j                 encoder.down.i.block.j
encoder.down_blocks.i.downsamplers.0.conv       encoder.down.i.downsample.conv
decoder.up_blocks.i.…                           decoder.up.(levels − 1 − i).…
….mid_block.resnets.0, attentions.0             ….mid.block_1, attn_1
….conv_norm_out                                 ….norm_out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch

from controlnet.backbones._ldm_names import indices, renamed
from controlnet.backbones._single_file.build import filled, skeleton
from controlnet.backbones._sizes import MOST, size_of
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece

_LEFT: Final = ("loss.", "model_ema.")  # of its training
_ATTENTION: Final = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def read_vae(found: Mapping[str, Piece], settings: Mapping[str, Any], place: str, dtype: torch.dtype) -> Any:
    """Read an AutoencoderKL; settings: what shapes do not tell, such as scaling_factor."""
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    own = {name: piece for name, piece in found.items() if not name.startswith(_LEFT)}
    levels = len(indices(r"encoder\.down(?:_blocks)?\.(\d+)()\.", own))
    table = {} if any(".down_blocks." in name for name in own) else vae_names(levels)
    shapes = {name: piece.shape for name, piece in own.items()}
    try:
        config = {**settings, **_sizes(shapes, levels, bool(table))}
    except CheckpointError as error:
        raise CheckpointError(f"{place}: {error}; give a VAE of Stable Diffusion") from error
    vae = skeleton(lambda: AutoencoderKL(**config), place)
    names = {name: name for name in vae.state_dict()}
    return filled(vae, own, names | renamed(names, table), place, dtype)


def vae_names(levels: int) -> dict[str, str]:
    """Return ldm's module for each of diffusers' that is named otherwise."""
    table: dict[str, str] = {}
    for coder, part, ldm in (("encoder", "down", "down"), ("decoder", "up", "up")):
        for level in range(levels):
            theirs = level if coder == "encoder" else levels - 1 - level
            block, other = f"{coder}.{part}_blocks.{level}", f"{coder}.{ldm}.{theirs}"
            for layer in range(MOST):
                resnet = f"{block}.resnets.{layer}"
                table[resnet] = f"{other}.block.{layer}"
                table[f"{resnet}.conv_shortcut"] = f"{other}.block.{layer}.nin_shortcut"
            table[f"{block}.{part}samplers.0.conv"] = f"{other}.{part}sample.conv"
        table |= {f"{coder}.mid_block.resnets.{k}": f"{coder}.mid.block_{k + 1}" for k in (0, 1)}
        attention = f"{coder}.mid_block.attentions.0"
        table |= {f"{attention}.{ours}": f"{coder}.mid.attn_1.{their}" for ours, their in _ATTENTION.items()}
        table[f"{coder}.conv_norm_out"] = f"{coder}.norm_out"
    return table


def _sizes(shapes: Mapping[str, tuple[int, ...]], levels: int, ldm: bool) -> dict[str, Any]:
    """Return the configuration that shapes show."""
    if not 1 <= levels <= MOST:
        raise CheckpointError(f"the tensors show {levels} levels of a VAE; wanted 1 to {MOST}")
    first = "encoder.down.{}.block.{}" if ldm else "encoder.down_blocks.{}.resnets.{}"
    middle = "encoder.mid.attn_1." if ldm else "encoder.mid_block.attentions."
    widths = [size_of(shapes, f"{first.format(level, 0)}.conv1.weight", 4)[0] for level in range(levels)]
    layers = sum(f"{first.format(0, layer)}.conv1.weight" in shapes for layer in range(MOST))
    return {
        "in_channels": size_of(shapes, "encoder.conv_in.weight", 4)[1],
        "out_channels": size_of(shapes, "decoder.conv_out.weight", 4)[0],
        "latent_channels": size_of(shapes, "decoder.conv_in.weight", 4)[1],
        "block_out_channels": widths,
        "layers_per_block": layers,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "use_quant_conv": "quant_conv.weight" in shapes,
        "use_post_quant_conv": "post_quant_conv.weight" in shapes,
        "mid_block_add_attention": any(name.startswith(middle) for name in shapes),
        "norm_num_groups": 32,
    }
