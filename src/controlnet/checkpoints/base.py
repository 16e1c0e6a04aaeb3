"""The base's encoder as pieces, for formats that keep only what differs from it.

A base may be given as a loaded base or network, a folder of diffusers (a pipeline or its U-Net), or a single
file in ldm's layout. Its tensors go by diffusers' names, which are those of a ControlNet's copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import nn

from controlnet.backbones._single_file.layout import UNET
from controlnet.backbones._single_file.unet import encoder_pieces
from controlnet.backbones._sizes import configuration
from controlnet.checkpoints.io import CONFIG, Source, look
from controlnet.core.backbone import Locked, resolve
from controlnet.core.origin import Origin
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece, pieces

_DECODER = ("output_blocks.", "out.", "up_blocks.", "conv_out.", "conv_norm_out.")


@final
@dataclass(frozen=True)
class BaseWeights:
    """A base seen from a checkpoint: where a copy's tensors began."""

    origin: Origin
    pieces: Mapping[str, Piece] = field(repr=False)  # of the encoder, which is what a control copies

    def piece(self, name: str, shape: tuple[int, ...] | None = None) -> Piece:
        """Return a tensor of the encoder, reshaped where a projection is kept in the other way.

        Raises CheckpointError where the base has none of that name and size.
        """
        found = self.pieces.get(name)
        if found is None or (shape and torch.Size(found.shape).numel() != torch.Size(shape).numel()):
            got = f"{name} of size {found.shape}" if found else f"no {name}"
            raise CheckpointError(
                f"the base {self.origin.name!r} has {got}; wanted {shape or 'it'}: give the base that this "
                "ControlNet belongs to"
            )
        if shape and found.shape != shape:
            return found.then(lambda tensor: tensor.reshape(shape), shape)
        return found


def base_weights(base: Locked | nn.Module | str | Path) -> BaseWeights:
    """Look at a base without loading what is on the disk.

    Raises CheckpointError where it is missing, broken, or no U-Net of a known kind.
    """
    if not isinstance(base, str | Path):
        network, _ = resolve(base)
        own = _encoder(pieces(network.state_dict()))
        # What a copy takes over must not be the base's own memory, which training would change.
        return BaseWeights(Origin.of(base), {key: piece.then(torch.clone) for key, piece in own.items()})
    path, name = _located(base)
    if path.is_dir():
        folder = path / "unet" if (path / "unet" / CONFIG).is_file() else path
        return _of_folder(look(folder), name)
    return _of_file(look(path), name)


def untold(base: BaseWeights | None, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return what a base says of its configuration that shapes do not."""
    known = base.origin.configuration if base else {}
    return {key: known[key] for key in keys if key in known}


def _encoder(found: Mapping[str, Piece]) -> dict[str, Piece]:
    return {key: piece for key, piece in found.items() if not key.startswith(_DECODER)}


def _located(base: str | Path) -> tuple[Path, str]:
    from controlnet.backbones import locate

    path = Path(base)
    if path.is_file() or (path / CONFIG).is_file():
        return path, path.stem
    return locate(base)


def _of_folder(source: Source, name: str) -> BaseWeights:
    config = {key: value for key, value in source.config.items() if not key.startswith("_")}
    kind = source.config.get("_class_name")
    if kind != "UNet2DConditionModel":
        raise CheckpointError(f"{source.path} holds a {kind}; wanted a base with a UNet2DConditionModel")
    from controlnet.registry import find

    built = find("backbones", "unet")()
    return BaseWeights(Origin(name, built.describe(built.build(config))), _encoder(source.pieces))


def _of_file(source: Source, name: str) -> BaseWeights:
    """Take the U-Net out of a whole checkpoint, or a U-Net alone."""
    inside = {key.removeprefix(UNET): piece for key, piece in source.pieces.items() if key.startswith(UNET)}
    found = _encoder(inside or source.pieces)
    if any(key.startswith("input_blocks.") for key in found):
        found = encoder_pieces(found)
    if "conv_in.weight" not in found:
        raise CheckpointError(
            f"{source.path} is no base that is known; wanted a Stable Diffusion U-Net in it"
        )
    shapes = {key: piece.shape for key, piece in found.items()}
    return BaseWeights(Origin(name, configuration(shapes)), found)
