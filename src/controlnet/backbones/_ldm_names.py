"""The names of a U-Net's weights in the original code's layout (ldm), beside those of diffusers.

    diffusers                                   ldm (original code, A1111 …)
    conv_in                                     input_blocks.0.0
    time_embedding.linear_1, _2                 time_embed.0, .2
    add_embedding.linear_1, _2                  label_emb.0.0, .0.2
    down_blocks.i.resnets.j, attentions.j       input_blocks.n.0, n.1
    down_blocks.i.downsamplers.0.conv           input_blocks.n.0.op
    mid_block.resnets.0, attentions.0, …        middle_block.0, .1, .2
    up_blocks.i.resnets.j, attentions.j         output_blocks.m.0, m.1
    up_blocks.i.upsamplers.0.conv               output_blocks.m.2.conv, m.1.conv without attention
    conv_norm_out, conv_out                     out.0, out.2

n counts the residual layers and the downsamplers of all levels, from 1; m the residual layers, from 0.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final

_RESNET: Final = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_FIXED: Final = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "mid_block.attentions.0": "middle_block.1",
}


def encoder_names(layers: Sequence[int]) -> dict[str, str]:
    """Return ldm's module for each of diffusers', up to the middle, by the residual layers of each level."""
    table = dict(_FIXED)
    number = count(1)
    for level, own in enumerate(layers):
        for layer in range(own):
            block = next(number)
            table |= _resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{block}.0")
            table[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        if level < len(layers) - 1:
            table[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{next(number)}.0.op"
    table |= _resnet("mid_block.resnets.0", "middle_block.0")
    return table | _resnet("mid_block.resnets.1", "middle_block.2")


def unet_names(network: Any) -> dict[str, str]:
    """Return ldm's module for each of diffusers' of a whole U-Net."""
    table = encoder_names([len(block.resnets) for block in network.down_blocks])
    number = count()
    last = 0
    for level, block in enumerate(network.up_blocks):
        for layer in range(len(block.resnets)):
            last = next(number)
            table |= _resnet(f"up_blocks.{level}.resnets.{layer}", f"output_blocks.{last}.0")
            table[f"up_blocks.{level}.attentions.{layer}"] = f"output_blocks.{last}.1"
        place = 2 if getattr(block, "attentions", None) else 1
        table[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{last}.{place}.conv"
    return table | {"conv_norm_out": "out.0", "conv_out": "out.2"}


def layers_of_diffusers(names: Iterable[str]) -> tuple[int, ...]:
    """Count the residual layers of each level by diffusers' names."""
    levels = indices(r"down_blocks\.(\d+)\.resnets\.(\d+)\.", names)
    return tuple(len(levels[level]) for level in sorted(levels, key=int))


def layers_of_ldm(names: Iterable[str]) -> tuple[int, ...]:
    """Count them by ldm's names: a downsampler ends a level."""
    blocks = indices(r"input_blocks\.([1-9]\d*)\.(\d+\.op|\d+)\.", names)
    layers = [0]
    for number in sorted(blocks, key=int):
        if "0.op" in blocks[number]:
            layers.append(0)
        else:
            layers[-1] += 1
    return tuple(layers)


def renamed(names: Iterable[str], table: Mapping[str, str]) -> dict[str, str]:
    """Return the new name of each, the longest known module in it replaced; what is not known stays away."""
    found: dict[str, str] = {}
    for name in names:
        parts = name.split(".")
        for length in range(len(parts) - 1, 0, -1):
            module = ".".join(parts[:length])
            if module in table:
                found[name] = ".".join((table[module], *parts[length:]))
                break
    return found


def indices(pattern: str, names: Iterable[str]) -> dict[str, set[str]]:
    """Collect the second group of a pattern by its first, over the names that begin so."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        if match := re.match(pattern, name):
            found[match[1]].add(match[2])
    return found


def _resnet(theirs: str, ldm: str) -> dict[str, str]:
    return {f"{theirs}.{a}": f"{ldm}.{b}" for a, b in _RESNET.items()}
