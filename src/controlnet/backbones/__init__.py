"""Base networks: `load_base` brings one up with its surroundings; each plug-in here is a family of them."""

from __future__ import annotations

from pathlib import Path

import torch

from controlnet.backbones._base import Base
from controlnet.errors import CheckpointError

__all__ = ["Base", "load_base"]

_SHIPPED = Path(__file__).parent.parent / "shapes" / "weights" / "base"
_PARTS = ("unet", "vae", "text_encoder*", "tokenizer*", "scheduler")
_KINDS = ("json", "txt", "safetensors")
_FILES = ("model_index.json", *(f"{part}/*.{kind}" for part in _PARTS for kind in _KINDS))


def load_base(
    source: str | Path, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Base:
    """Load and lock a base: "shapes" (embedded), a diffusers folder, or a hub id such as "owner/name".

    Single precision on the CPU unless given. Raises CheckpointError where the source is missing, broken or of
    an unknown kind, and where a hub id is neither in the cache nor within reach.
    """
    from controlnet.backbones._folder import read_base

    folder, name = locate(source)
    return read_base(folder, name, dtype or torch.float32).to(device, dtype or torch.float32)


def locate(source: str | Path) -> tuple[Path, str]:
    """Return the folder that is meant, and the name by which checkpoints shall remember it."""
    from controlnet.backbones._hub import fetch, looks_like_id

    path, text = Path(source), str(source)
    if text == "shapes":
        if not (_SHIPPED / "model_index.json").is_file():
            raise CheckpointError(
                "this installation has no embedded base; wanted controlnet/shapes/weights/base: install "
                "the released package, or make the base with `controlnet shapes`"
            )
        return _SHIPPED, text
    if path.is_dir():
        return path, path.resolve().name
    if path.is_file():
        raise CheckpointError(
            f"got the single file {path}; wanted a diffusers folder (model_index.json, unet, …): convert "
            "it with diffusers' from_single_file(…).save_pretrained(folder)"
        )
    if looks_like_id(text):
        return fetch(text, _FILES, weights="unet/*.safetensors"), text
    raise CheckpointError(
        f'there is no folder {path}; wanted "shapes", a diffusers folder, or a hub id such as "owner/name"'
    )
