"""Whether a ControlNet can have any effect: zero convolutions that moved, and numbers that are numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import torch

from controlnet.tensorfiles.piece import Piece

# The zero convolutions of the taps, in all layouts.
_ZERO: Final = re.compile(
    r"(?:control_model\.|base_model\.model\.)?"
    r"(zeros\.\w+|controlnet_down_blocks\.\d+|controlnet_mid_block|zero_convs\.\d+\.0|middle_block_out\.0)"
    r"(?:\.modules_to_save)?\.(?:weight|bias)"
)

# Of a whole checkpoint, what is not the control.
_BASE: Final = ("model.", "model_ema.", "first_stage_model.", "cond_stage_model.", "conditioner.")


def health(pieces: Mapping[str, Piece]) -> dict[str, Any]:
    """Return "trained", "dead_taps" and "not_finite"; see `describe`."""
    broken: list[str] = []
    moved: dict[str, bool] = {}
    for name, piece in pieces.items():
        tap = _ZERO.fullmatch(name)
        if not piece.dtype.is_floating_point or name.startswith(_BASE):
            continue
        tensor = piece.load()
        tensor = tensor.float() if tensor.element_size() == 1 else tensor
        if not bool(torch.isfinite(tensor).all()):
            broken.append(name)
        if tap:
            moved[tap[1]] = moved.get(tap[1], False) or bool(tensor.any())
    trained = any(moved.values())
    return {
        "trained": trained,
        "dead_taps": [tap for tap, alive in moved.items() if not alive] if trained else [],
        "not_finite": broken,
    }
