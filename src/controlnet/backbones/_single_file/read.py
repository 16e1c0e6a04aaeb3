"""A file with a whole base in it to a Base, part by part; what is missing may come from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch

from controlnet.backbones._base import Base
from controlnet.backbones._imports import collector_paused
from controlnet.backbones._single_file.family import Family, family_of
from controlnet.backbones._single_file.layout import UNET, V_MARK, VAE, ZERO_SNR_MARK, Layout
from controlnet.backbones._single_file.probe import predicts_noise
from controlnet.backbones._single_file.text import read_text
from controlnet.backbones._single_file.tokenizer import tokenizer
from controlnet.backbones._single_file.unet import read_unet
from controlnet.backbones._single_file.vae import read_vae
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece
from controlnet.tensorfiles.shard import open_shard

if TYPE_CHECKING:
    from controlnet.backbones._replace import Replaced

_V: Final = "v_prediction"
_V_SIDE: Final = 96  # of the latents: SD 2.x was trained for v at 768 pixels, for ε at 512


def read_file(
    path: Path, name: str, dtype: torch.dtype, replaced: Replaced, prediction_type: str | None, ema: bool
) -> Base:
    """Read network, VAE and text encoders; settings and tokenizers are those of the family.

    Raises CheckpointError, which names the part, where one is missing, not whole, or of an unknown kind.
    """
    with collector_paused():
        import diffusers.models.unets.unet_2d_condition  # noqa: F401 - here, where the collector is paused
        import transformers.models.clip.modeling_clip  # noqa: F401
    layout = Layout.of(path, open_shard(path).pieces())
    family = checked_family(layout)
    base = Base(
        name=name,
        network=read_unet(layout, family, dtype, ema),
        vae=replaced.vae(lambda: family.vae)
        or read_vae(_wanted(layout.vae, "VAE", VAE, path), family.vae, f"the VAE of {path}", dtype),
        text_encoders=[
            replaced.text(slot, lambda settings=settings: settings)
            or _text(layout, slot, settings, len(family.text_encoders), dtype)
            for slot, settings in enumerate(family.text_encoders)
        ],
        tokenizers=[tokenizer(**settings) for settings in family.tokenizers],
        scheduler_config=family.scheduler | told_schedule(layout),
    )
    replaced.check(base)
    if family.name == "sd2":
        _settle(base, prediction_type)
    return base


def checked_family(layout: Layout) -> Family:
    """Tell the family; CheckpointError for a file without a U-Net, or with what is part of no base."""
    if not layout.unet:
        raise CheckpointError(
            f"{layout.path} has no U-Net ({UNET}*); wanted a whole base in the original code's layout: give "
            "such a file, or a diffusers folder; a VAE or a text encoder alone goes with vae=, text_encoder="
        )
    if layout.strange:
        listed = ", ".join(layout.strange[:4]) + (", …" if len(layout.strange) > 4 else "")
        raise CheckpointError(
            f"{layout.path} holds {len(layout.strange)} tensors that are part of no base that is known "
            f"({listed}); wanted Stable Diffusion 1.x, 2.x or XL: give such a base"
        )
    return family_of(layout)


def told_schedule(layout: Layout) -> dict[str, Any]:
    """Return what marks in the file say of the noise schedule."""
    told: dict[str, Any] = {}
    if V_MARK in layout.marks:
        told["prediction_type"] = _V
    if ZERO_SNR_MARK in layout.marks:
        told["rescale_betas_zero_snr"] = True
    return told


def _text(layout: Layout, slot: int, settings: Mapping[str, Any], count: int, dtype: torch.dtype) -> Any:
    which = "text encoder" if count == 1 else f"text encoder {slot + 1}"
    prefix = "cond_stage_model." if count == 1 else f"conditioner.embedders.{slot}."
    found = layout.texts[slot] if slot < len(layout.texts) else {}
    found = _wanted(found, which, prefix, layout.path)
    return read_text(found, settings, f"the {which} of {layout.path}", dtype)


def _wanted(found: dict[str, Piece], part: str, prefix: str, path: Path) -> dict[str, Piece]:
    if not found:
        given = "vae" if part == "VAE" else "text_encoder"
        raise CheckpointError(
            f"{path} has no {part} ({prefix}*); wanted a whole base: give the part as {given}=, a file or a "
            "folder"
        )
    return found


def _settle(base: Base, prediction_type: str | None) -> None:
    """Find out what SD 2.x predicts, unless it is said, and the size that goes with it."""
    kind = prediction_type or ("epsilon" if predicts_noise(base) else _V)
    base.scheduler_config["prediction_type"] = kind
    if kind == _V:
        network: Any = base.network
        network.register_to_config(sample_size=_V_SIDE)
