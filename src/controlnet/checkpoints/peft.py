"""What peft writes: factors by name in one file, and beside it the settings that say how they are scaled.

base_model.model.<layer>.lora_A.weight, .lora_B.weight     down (r, in …) and up (out, r …)
base_model.model.<layer>.base_layer.bias                   of such a layer, where biases were trained
base_model.model.<layer>.weight, .bias                     layers that are whole (modules_to_save)

W ← W + lora_alpha/r · up·down, or lora_alpha/√r where use_rslora is set
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import sqrt
from pathlib import Path
from typing import Any, Final

import torch

from controlnet.checkpoints.io import ADAPTER, Source, read_json
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece

PREFIX: Final = "base_model.model."
_HINT: Final = f"{PREFIX}controlnet_cond_embedding."
_FACTORS: Final = {"lora_A.weight": "down", "lora_B.weight": "up"}
_WRAPPED: Final = re.compile(r"\.(?:base_layer|modules_to_save|default)(?=\.)")
_PLAIN: Final = re.compile(r"\^?[\w.]+")


def is_control(source: Source) -> bool:
    """Tell a Control-LoRA, which brings its hint encoder, from the LoRA of a base."""
    return any(name.startswith(_HINT) for name in source.pieces)


def control_pieces(source: Source) -> dict[str, Piece]:
    """Return a Control-LoRA's pieces by diffusers' names, its factors as <layer>.up and .down, scaled."""
    found: dict[str, Piece] = {}
    for key, piece in source.pieces.items():
        if ".original_module." in key:  # the base's own, which is saved along with every bias
            continue
        name = _WRAPPED.sub("", key).removeprefix(PREFIX)
        ends = [end for end in _FACTORS if name.endswith(f".{end}")]
        found[name.removesuffix(ends[0]) + _FACTORS[ends[0]] if ends else name] = piece
    settings = source.config or settings_beside(source.path)
    for name in [name for name in found if name.endswith(".down")]:
        module = name.removesuffix(".down")
        up, rank = found.get(f"{module}.up"), (found[name].shape or (1,))[0]
        scale = alpha(settings, module, rank, source.path) / max(rank, 1)
        if up is not None and scale != 1:
            found[f"{module}.up"] = _scaled(up, scale)
    return found


def settings_beside(path: Path) -> Mapping[str, Any]:
    """Read the settings that belong to a file; CheckpointError where they are missing."""
    place = path.with_name(ADAPTER)
    if not place.is_file():
        raise CheckpointError(
            f"{path} is of peft, which keeps its scale beside it; wanted {place}: copy the whole folder"
        )
    return read_json(place)


def alpha(settings: Mapping[str, Any], layer: str, rank: int, path: Path) -> float:
    """Return a layer's alpha: its product of factors counts alpha/rank times.

    Raises CheckpointError for DoRA, and for settings that are none.
    """
    if settings.get("use_dora"):
        raise CheckpointError(f"{path} is DoRA; wanted plain LoRA: merge it where it was made")
    found = settings.get("lora_alpha", rank)
    for pattern, own in (settings.get("alpha_pattern") or {}).items():
        # peft allows regular expressions; its own files hold plain ends of names, and ^ for whole ones.
        if not _PLAIN.fullmatch(pattern):
            raise CheckpointError(f"{path} has the alpha_pattern {pattern!r}; wanted plain names")
        if f".{layer}".endswith(f".{pattern.removeprefix('^')}"):
            found = own
    if not isinstance(found, int | float):
        raise CheckpointError(f"{path} has lora_alpha {found!r}; wanted a number: copy it anew")
    return found * sqrt(rank) if settings.get("use_rslora") else found


def _scaled(piece: Piece, scale: float) -> Piece:
    return piece.then(lambda tensor: tensor.float() * scale, dtype=torch.float32)
