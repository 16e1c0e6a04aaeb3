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
for its encoder, under "model.diffusion_model."; those of the copy's part stand in `backbones._ldm_names`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import final

from controlnet.backbones._ldm_names import (
    encoder_names,
    indices,
    layers_of_diffusers,
    layers_of_ldm,
    renamed,
)
from controlnet.checkpoints.kept import merged_pieces
from controlnet.core.controlnet import ControlNet

__all__ = ["Structure", "renamed", "to_diffusers", "to_ldm"]


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
        hints = indices(r"controlnet_cond_embedding\.(conv_in|blocks\.\d+|conv_out)(\.)", found)
        return cls(layers_of_diffusers(found), len(hints))

    @classmethod
    def of_ldm(cls, names: Iterable[str]) -> Structure:
        """Read it off names in ldm's layout."""
        found = list(names)
        return cls(layers_of_ldm(found), len(indices(r"input_hint_block\.(\d+)(\.)", found)))


def to_ldm(structure: Structure) -> dict[str, str]:
    """Return the module of ldm's layout for each of diffusers'; no two share one."""
    table = encoder_names(structure.layers) | {"controlnet_mid_block": "middle_block_out.0"}
    taps = sum(structure.layers) + len(structure.layers)  # behind conv_in, each layer, each downsampler
    table |= {f"controlnet_down_blocks.{tap}": f"zero_convs.{tap}.0" for tap in range(taps)}
    return table | {name: f"input_hint_block.{k}" for k, name in _hints(structure.hints).items()}


def to_diffusers(net: ControlNet) -> dict[str, str]:
    """Return the name in diffusers' layout for each of a ControlNet's own, all taps included."""
    hints = _hints((len(net.hint) + 1) // 2)  # type: ignore[arg-type]
    zeros = {tap.name: f"controlnet_down_blocks.{i}" for i, tap in enumerate(net.taps)}
    zeros[net.taps[-1].name] = "controlnet_mid_block"
    names: dict[str, str] = {}
    for name in merged_pieces(net):
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
