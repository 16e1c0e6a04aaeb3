"""Base networks: `load_base` brings one up with its surroundings; each plug-in here is a family of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from controlnet.backbones._base import Base
from controlnet.errors import CheckpointError, SettingError
from controlnet.nearest import unknown

__all__ = ["Base", "load_base"]

_SHIPPED = Path(__file__).parent.parent / "shapes" / "weights" / "base"
_PARTS = ("unet", "vae", "text_encoder*", "tokenizer*", "scheduler")
_KINDS = ("json", "txt", "safetensors")
_FILES = ("model_index.json", *(f"{part}/*.{kind}" for part in _PARTS for kind in _KINDS))


def load_base(
    source: str | Path,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    *,
    vae: str | Path | None = None,
    text_encoder: str | Path | Sequence[str | Path | None] | None = None,
    prediction_type: str | None = None,
    ema: bool = False,
    vae_tile: int | None = None,
    offload: bool = False,
) -> Base:
    """Load and lock a base: "shapes" (embedded), a diffusers folder, one file, or a hub id ("owner/name").

    Single precision on the CPU unless given. One file is a base in the original code's layout, .safetensors
    or .ckpt: Stable Diffusion 1.x, 2.x or XL, found by its content; no network is needed (docs/formats.md).

    vae              another VAE: a file or a folder
    text_encoder     another text encoder, or one for each of the base's; None keeps its own
    prediction_type  "epsilon" or "v_prediction" where the base does not say or is wrong. A file says it for
                     SDXL by a mark, if any; for SD 2.x the network is asked; otherwise it is "epsilon"
    ema              take the moving average of the weights that a training's file holds beside them; they
                     are left out otherwise
    vae_tile         side in pixels of the tiles in which the VAE takes larger pictures (`Base.tile_vae`)
    offload          text encoders and VAE leave the device while they do not work (`Base.offload`)

    Raises CheckpointError where the source is missing, broken, incomplete or of an unknown kind, and where a
    hub id is neither in the cache nor within reach; SettingError for choices that cannot be meant.
    """
    from controlnet.backbones._base import PREDICTIONS
    from controlnet.backbones._folder import read_base
    from controlnet.backbones._replace import Replaced
    from controlnet.backbones._single_file.read import read_file

    if prediction_type is not None and prediction_type not in PREDICTIONS:
        raise SettingError(unknown("prediction type", prediction_type, PREDICTIONS))
    path, name = locate(source)
    kind = dtype or torch.float32
    replaced = Replaced(vae, text_encoder, kind)
    if path.is_file():
        base = read_file(path, name, kind, replaced, prediction_type, ema)
    elif ema:
        raise SettingError(f"got ema=True for the folder {path}; wanted it for a file: leave it out")
    else:
        base = read_base(path, name, kind, replaced)
        if replaced:
            replaced.check(base)
    if prediction_type is not None:
        base.scheduler_config["prediction_type"] = prediction_type
    if offload:
        base.offload()
    return base.tile_vae(vae_tile).to(device, kind)


def locate(source: str | Path) -> tuple[Path, str]:
    """Return the folder or file that is meant, and the name by which checkpoints shall remember it."""
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
        return path, path.stem
    if looks_like_id(text):
        return fetch(text, _FILES, weights="unet/*.safetensors"), text
    raise CheckpointError(
        f'there is no file or folder {path}; wanted "shapes", a diffusers folder, a file, or a hub id such '
        'as "owner/name"'
    )
