"""The names of the same weights in three layouts, made from the structure of the network.

    ours                        diffusers' ControlNetModel                  ldm (original code, A1111 …)
    copy.conv_in                conv_in                                     input_blocks.0.0
    copy.time_embedding.…       time_embedding.linear_1, _2                 time_embed.0, .2
    copy.add_embedding.…        add_embedding.linear_1, _2                  label_emb.0.0, .0.2
    copy.down_blocks.i.…        down_blocks.i.resnets.j, attentions.j       input_blocks.n.0, n.1
                                down_blocks.i.downsamplers.0.conv           input_blocks.n.0.op
    copy.mid_block.…            mid_block.resnets.0, attentions.0, …        middle_block.0, .1, .2
    hint.k                      controlnet_cond_embedding.…                 input_hint_block.k
    zeros.skipn, zeros.middle   controlnet_down_blocks.n, …mid_block        zero_convs.n.0, middle_block_out.0

n counts the residual layers and the downsamplers of all levels, from 1. A base in one file has the same names
for its encoder, under "model.diffusion_model.".
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, final

from controlnet.core.controlnet import ControlNet

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
    "controlnet_mid_block": "middle_block_out.0",
}


@final
@dataclass(frozen=True)
class Structure:
    """What the names depend on: residual layers of each level, convolutions of the hint encoder."""

    layers: tuple[int, ...]
    hints: int = 0

    @classmethod
    def of_diffusers(cls, names: Iterable[str]) -> Structure:
        """Read it off names in diffusers' layout."""
        found = list(names)
        levels = _indices(r"down_blocks\.(\d+)\.resnets\.(\d+)\.", found)
        hints = _indices(r"controlnet_cond_embedding\.(conv_in|blocks\.\d+|conv_out)(\.)", found)
        return cls(tuple(len(levels[level]) for level in sorted(levels, key=int)), len(hints))

    @classmethod
    def of_ldm(cls, names: Iterable[str]) -> Structure:
        """Read it off names in ldm's layout: a downsampler ends a level."""
        found = list(names)
        blocks = _indices(r"input_blocks\.([1-9]\d*)\.(\d+\.op|\d+)\.", found)
        layers = [0]
        for number in sorted(blocks, key=int):
            if "0.op" in blocks[number]:
                layers.append(0)
            else:
                layers[-1] += 1
        return cls(tuple(layers), len(_indices(r"input_hint_block\.(\d+)(\.)", found)))


def to_ldm(structure: Structure) -> dict[str, str]:
    """Return the module of ldm's layout for each of diffusers'; no two share one."""
    table = dict(_FIXED)
    number = count(1)
    for level, layers in enumerate(structure.layers):
        for layer in range(layers):
            block = next(number)
            table |= _resnet(f"down_blocks.{level}.resnets.{layer}", f"input_blocks.{block}.0")
            table[f"down_blocks.{level}.attentions.{layer}"] = f"input_blocks.{block}.1"
        if level < len(structure.layers) - 1:
            table[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{next(number)}.0.op"
    table |= _resnet("mid_block.resnets.0", "middle_block.0") | _resnet(
        "mid_block.resnets.1", "middle_block.2"
    )
    taps = next(number)
    table |= {f"controlnet_down_blocks.{tap}": f"zero_convs.{tap}.0" for tap in range(taps)}
    return table | {name: f"input_hint_block.{k}" for k, name in _hints(structure.hints).items()}


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


def to_diffusers(net: ControlNet) -> dict[str, str]:
    """Return the name in diffusers' layout for each of a ControlNet's own, all taps included."""
    hints = _hints((len(net.hint) + 1) // 2)  # type: ignore[arg-type]
    zeros = {tap.name: f"controlnet_down_blocks.{i}" for i, tap in enumerate(net.taps)}
    zeros[net.taps[-1].name] = "controlnet_mid_block"
    names: dict[str, str] = {}
    for name in net.state_dict():
        part, _, rest = name.partition(".")
        if part == "copy":
            names[name] = rest
        elif part == "hint":
            index, _, kind = rest.partition(".")
            names[name] = f"{hints[int(index)]}.{kind}"
    for tap, module in zeros.items():
        names |= {f"zeros.{tap}.{kind}": f"{module}.{kind}" for kind in ("weight", "bias")}
    return names


def _hints(convolutions: int) -> dict[int, str]:
    """Name the convolutions of the hint encoder, each followed by a nonlinearity, by their place."""
    inner = (f"blocks.{k}" for k in range(max(0, convolutions - 2)))
    names = ["conv_in", *inner, "conv_out"][: max(0, convolutions)]
    return {2 * k: f"controlnet_cond_embedding.{name}" for k, name in enumerate(names)}


def _resnet(theirs: str, ldm: str) -> dict[str, str]:
    return {f"{theirs}.{a}": f"{ldm}.{b}" for a, b in _RESNET.items()}


def _indices(pattern: str, names: Sequence[str]) -> dict[str, set[str]]:
    """Collect the second group of a pattern by its first, over the names that begin so."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in names:
        if match := re.match(pattern, name):
            found[match[1]].add(match[2])
    return found
