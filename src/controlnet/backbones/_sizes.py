"""What U-Net a file is of, inferred from the shapes of its tensors: never from its name.

A few things leave no trace in the shapes (the number of attention heads, the groups of a norm). They follow
the published families, unless a note in the file or the base says them (`UNTOLD`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from controlnet.backbones._ldm_names import layers_of_diffusers
from controlnet.errors import CheckpointError

Shapes = Mapping[str, tuple[int, ...]]

UNTOLD: Final = (
    *("attention_head_dim", "num_attention_heads", "act_fn", "norm_num_groups", "norm_eps", "freq_shift"),
    *("flip_sin_to_cos", "downsample_padding", "mid_block_scale_factor", "upcast_attention"),
    *("resnet_time_scale_shift", "addition_time_embed_dim", "only_cross_attention", "sample_size"),
    "use_linear_projection",  # tensors may be kept either way
)
_LINEAR: Final = {768: False, 1024: True, 2048: True}  # by text width: how a family's projections are kept
MOST: Final = 64  # levels, layers or transformer blocks: more than any network has


def configuration(shapes: Shapes) -> dict[str, Any]:
    """Return the U-Net's configuration from shapes by names in diffusers' layout.

    Raises CheckpointError where a tensor is missing from which a size is read.
    """
    layers = layers_of_diffusers(shapes)
    if not layers or max(len(layers), *layers) > MOST:
        raise CheckpointError(f"the tensors show {len(layers)} levels of a U-Net; wanted 1 to {MOST}")
    depths = [_depth(shapes, f"down_blocks.{level}.attentions.0") for level in range(len(layers))]
    middle = _depth(shapes, "mid_block.attentions.0")
    text = _text_width(shapes)
    widths = [size_of(shapes, f"down_blocks.{i}.resnets.0.conv1.weight", 4)[0] for i in range(len(layers))]
    linear = any(len(s) == 2 for name, s in shapes.items() if name.endswith("attentions.0.proj_in.weight"))
    if depths[-1] and middle not in (0, depths[-1]):
        raise CheckpointError(
            f"the tensors show {middle} transformer blocks in the middle and {depths[-1]} before it; "
            "no known U-Net is built so"
        )
    blocks = [*(depth or 1 for depth in depths[:-1]), depths[-1] or middle or 1]
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths]
    return {
        "in_channels": size_of(shapes, "conv_in.weight", 4)[1],
        "block_out_channels": widths,
        "layers_per_block": layers[0] if len(set(layers)) == 1 else list(layers),
        "down_block_types": down,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(down)],
        "mid_block_type": "UNetMidBlock2DCrossAttn" if middle else "UNetMidBlock2D",
        "transformer_layers_per_block": blocks[0] if len(set(blocks)) == 1 else blocks,
        "cross_attention_dim": text,
        "use_linear_projection": _LINEAR.get(text, linear),
        "attention_head_dim": 8 if text == 768 else [max(1, width // 64) for width in widths],
        **_added(shapes),
    }


def family(configuration: Mapping[str, Any]) -> str:
    """Name the family of base networks that a configuration belongs to."""
    text, widths = configuration.get("cross_attention_dim"), configuration.get("block_out_channels") or [0]
    if widths[0] != 320:
        return f"a U-Net of {', '.join(map(str, widths))} channels"
    if configuration.get("addition_embed_type") == "text_time":
        return _relative(configuration)
    named: dict[Any, str] = {768: "Stable Diffusion 1.x", 1024: "Stable Diffusion 2.x"}
    return named.get(text, f"a U-Net for text of {text}")


def _relative(configuration: Mapping[str, Any]) -> str:
    depths = configuration.get("transformer_layers_per_block")
    attended = [str(kind).startswith("CrossAttn") for kind in configuration.get("down_block_types", ())]
    if not any(attended):
        return "Stable Diffusion XL (small: no attention)"
    if depths == [1, 2, 10]:
        return "Stable Diffusion XL"
    return f"Stable Diffusion XL (smaller: transformer blocks {depths})"


def _added(shapes: Shapes) -> dict[str, Any]:
    name = "add_embedding.linear_1.weight"
    if name not in shapes:
        return {}
    return {
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": size_of(shapes, name, 2)[1],
    }


def _text_width(shapes: Shapes) -> int:
    widths = {
        shape[1] for name, shape in shapes.items() if name.endswith("attn2.to_k.weight") and len(shape) == 2
    }
    if len(widths) > 1:
        raise CheckpointError(f"the tensors show texts of several widths ({sorted(widths)}); wanted one")
    # Without attention the text's width leaves no trace; the networks published so are small SDXL's.
    return widths.pop() if widths else 2048 if "add_embedding.linear_1.weight" in shapes else 768


def _depth(shapes: Shapes, module: str) -> int:
    pattern = re.compile(re.escape(module) + r"\.transformer_blocks\.(\d+)\.")
    return len({match[1] for name in shapes if (match := pattern.match(name))})


def size_of(shapes: Shapes, name: str, dimensions: int) -> tuple[int, ...]:
    """Return the shape of a tensor from which a size is read; CheckpointError where there is none such."""
    shape = shapes.get(name)
    if shape is None or len(shape) != dimensions or min(shape) < 1:
        got = "is missing" if shape is None else f"has the shape {shape}"
        raise CheckpointError(f"{name} {got}; wanted {dimensions} dimensions: a size is read from it")
    return shape
