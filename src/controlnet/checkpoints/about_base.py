"""What a whole base in one file is, told without loading it: for `controlnet info`."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Final

from controlnet.backbones._single_file.family import Family
from controlnet.backbones._single_file.layout import CONTROL, UNET, Layout
from controlnet.backbones._single_file.read import checked_family, told_schedule
from controlnet.backbones._single_file.unet import unet_configuration
from controlnet.checkpoints.io import Source
from controlnet.tensorfiles.piece import Piece
from controlnet.tensorfiles.shard import NAMES

_ASKED: Final = "epsilon or v_prediction: the network is asked when it is loaded"


def is_base(source: Source) -> bool:
    """Tell a base, whole but for its surroundings, from a ControlNet's checkpoint, which may hold one too."""
    return (
        source.single
        and any(name.startswith(UNET) for name in source.pieces)
        and not any(name.startswith((CONTROL, "input_hint_block.")) for name in source.pieces)
    )


def describe_base(source: Source) -> dict[str, Any]:
    """Return what a base is, from names and shapes; CheckpointError for one of no known family.

    format ("base"), title, family, size, precision, prediction_type, ema (whether moving averages are there),
    parts (parameters and precision of each that is there, None for one that is missing), base (the U-Net's
    configuration).
    """
    layout = Layout.of(source.path, source.pieces)
    family = checked_family(layout)
    schedule = family.scheduler | told_schedule(layout)
    parts = {"U-Net": layout.unet, "VAE": layout.vae, **_texts(layout, family)}
    return {
        "path": str(source.path),
        "format": "base",
        "title": "a whole base in the original code's layout",
        "family": family.title,
        "bytes": sum(file.stat().st_size for file in source.files),
        "tensors": len(source.pieces),
        "parameters": sum(prod(piece.shape) for piece in source.pieces.values()),
        "precision": source.precisions,
        "prediction_type": _ASKED if family.name == "sd2" else schedule["prediction_type"],
        "ema": bool(layout.ema),
        "parts": {name: _told(found) for name, found in parts.items()},
        "base": {"configuration": unet_configuration(layout, family)},
    }


def _texts(layout: Layout, family: Family) -> dict[str, dict[str, Piece]]:
    count = len(family.text_encoders)
    names = ["text encoder"] if count == 1 else [f"text encoder {slot + 1}" for slot in range(count)]
    texts = layout.texts
    return {name: texts[slot] if slot < len(texts) else {} for slot, name in enumerate(names)}


def _told(found: Mapping[str, Piece]) -> dict[str, Any] | None:
    if not found:
        return None
    numbers = [piece for piece in found.values() if piece.dtype.is_floating_point]
    return {
        "parameters": sum(prod(piece.shape) for piece in numbers),
        "precision": sorted({NAMES[piece.dtype] for piece in numbers}),
    }
