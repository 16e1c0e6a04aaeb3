"""The U-Net of a base in one file: its configuration from shapes, its weights or their moving average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from controlnet.backbones._ldm_names import encoder_names, layers_of_ldm, renamed, unet_names
from controlnet.backbones._single_file.build import filled, skeleton
from controlnet.backbones._single_file.family import Family
from controlnet.backbones._single_file.layout import EMA, UNET, Layout
from controlnet.backbones._sizes import configuration
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece


def read_unet(layout: Layout, family: Family, dtype: torch.dtype, ema: bool) -> Any:
    """Read the U-Net; ema: its moving average instead, CheckpointError where the file has none."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    place = f"the U-Net of {layout.path}"
    config = unet_configuration(layout, family)
    network = skeleton(lambda: UNet2DConditionModel(**config), place)
    names = renamed(network.state_dict(), unet_names(network))
    if ema:
        found, names = _averaged(layout), {own: EMA + averaged_name(ldm) for own, ldm in names.items()}
    else:
        found, names = layout.unet, {own: UNET + ldm for own, ldm in names.items()}
        found = {UNET + name: piece for name, piece in found.items()}
    return filled(network, found, names, place, dtype)


def unet_configuration(layout: Layout, family: Family) -> dict[str, Any]:
    """Infer the configuration from shapes; what they do not tell is the family's."""
    shapes = {name: piece.shape for name, piece in encoder_pieces(layout.unet).items()}
    out = layout.unet.get("out.2.weight")
    channels = {"out_channels": out.shape[0]} if out and out.shape else {}
    return configuration(shapes) | channels | family.unet


def encoder_pieces(found: Mapping[str, Piece]) -> dict[str, Piece]:
    """Return the pieces of a U-Net up to its middle, by diffusers' names."""
    back = {ldm: ours for ours, ldm in encoder_names(layers_of_ldm(found)).items()}
    return {new: found[old] for old, new in renamed(found, back).items()}


def averaged_name(name: str) -> str:
    """Return the name of a tensor's moving average: without points, since PyTorch allows none in a buffer."""
    return "diffusion_model" + name.replace(".", "")


def _averaged(layout: Layout) -> dict[str, Piece]:
    own = {EMA + name: piece for name, piece in layout.ema.items() if name not in ("decay", "num_updates")}
    if not own:
        raise CheckpointError(
            f"{layout.path} holds no moving average ({EMA}*); wanted one for ema=True: leave that out"
        )
    return own
