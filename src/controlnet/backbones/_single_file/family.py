"""Which family a base in a file belongs to, and what of the family its tensors do not tell."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, final

from controlnet.backbones._single_file.layout import Layout
from controlnet.errors import CheckpointError

CONFIGS: Final = Path(__file__).parent.parent / "_configs"
_BY_WIDTH: Final = {768: "sd1", 1024: "sd2", 2048: "sdxl"}  # of the text


@final
@dataclass(frozen=True)
class Family:
    """The settings of a family that leave no trace in shapes, as they are published."""

    name: str
    title: str
    unet: dict[str, Any]
    vae: dict[str, Any]
    text_encoders: list[dict[str, Any]]
    tokenizers: list[dict[str, Any]]
    scheduler: dict[str, Any]


@cache
def family(name: str) -> Family:
    """Read the settings of "sd1", "sd2" or "sdxl"."""
    return Family(name, **json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8")))


def family_of(layout: Layout) -> Family:
    """Tell the family of a file by its U-Net and the layout of its text encoders.

    Raises CheckpointError for a relative that is not known.
    """
    widths = {
        piece.shape[1]
        for name, piece in layout.unet.items()
        if name.endswith("attn2.to_k.weight") and len(piece.shape) == 2
    }
    width = widths.pop() if len(widths) == 1 else 0
    labelled = "label_emb.0.0.weight" in layout.unet
    name = _BY_WIDTH.get(width, "")
    if not name:  # no published width: the layout of the text encoders tells
        openclip = any(key.startswith("model.") for key in layout.texts[0])
        name = "sdxl" if layout.xl and not openclip else "sd2" if openclip else "sd1"
    if labelled != (name == "sdxl") or (layout.xl and name != "sdxl"):
        raise CheckpointError(
            f"{layout.path} holds a U-Net for texts of width {width}{' with labels' if labelled else ''}, "
            "such as an SDXL refiner or an unCLIP has; wanted Stable Diffusion 1.x, 2.x or XL: give one of "
            "these"
        )
    return family(name)
