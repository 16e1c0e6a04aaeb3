"""ControlNets of Stable Diffusion U-Nets in the layouts that are published: what these have in common.

All name the same tensors (see `keys`); a format says how its names become diffusers', and the rest is here:
which network the tensors are of, which of them is missing, and how the zeros of unconnected taps are written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from controlnet.backbones._sizes import UNTOLD, configuration
from controlnet.checkpoints.base import BaseWeights, untold
from controlnet.checkpoints.infer import hint_settings
from controlnet.checkpoints.io import Source
from controlnet.checkpoints.keys import Structure, renamed, to_diffusers, to_ldm
from controlnet.checkpoints.note import metadata_of, origin_of, read_note
from controlnet.checkpoints.rebuild import skeleton
from controlnet.checkpoints.stored import Stored
from controlnet.core.controlnet import ControlNet, Origin
from controlnet.errors import CheckpointError
from controlnet.tensorfiles.match import matched
from controlnet.tensorfiles.piece import Piece, zeros

# What these layouts cannot say of a U-Net, and the value that they take for granted.
_GRANTED: dict[str, Any] = {
    "center_input_sample": False,
    "dual_cross_attention": False,
    "resnet_skip_time_act": False,
    "resnet_out_scale_factor": 1.0,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "time_embedding_act_fn": None,
    "timestep_post_act": None,
    "conv_in_kernel": 3,
    "attention_type": "default",
    "class_embeddings_concat": False,
    "cross_attention_norm": None,
    "time_cond_proj_dim": None,
}


def assemble(
    source: Source,
    found: Mapping[str, Piece],
    base: BaseWeights | None = None,
    label: Callable[[str], str] = str,
) -> Stored:
    """Rebuild a ControlNet from pieces by diffusers' names; what tensors do not tell, the note or base does.

    label gives a name back as it stands in the file, for messages. Raises CheckpointError, which lists them,
    where pieces are missing, unexpected or of another size.
    """
    note = read_note(source)
    try:
        origin, settings = describe_pieces(found, note, base)
    except CheckpointError as error:
        raise CheckpointError(f"{source.path}: {error}; copy or convert it anew") from error
    net = skeleton("unet", settings, origin, source.path)
    names = {own: label(their) for own, their in to_diffusers(net).items()}
    pieces = matched(net, {label(their): piece for their, piece in found.items()}, names, source.path)
    return Stored(net, pieces, metadata_of(note))


def describe_pieces(
    found: Mapping[str, Piece], note: Mapping[str, Any], base: BaseWeights | None = None
) -> tuple[Origin, dict[str, Any]]:
    """Return the base and settings that pieces by diffusers' names show; a note or a base helps."""
    shapes = {name: piece.shape for name, piece in found.items()}
    known = origin_of(note)
    inferred = configuration(shapes) | untold(base, UNTOLD)
    origin = replace(known, configuration=known.configuration or inferred)
    told = note.get("settings")
    pooled = bool(told.get("global_pool", False)) if isinstance(told, dict) else False
    return origin, {**hint_settings(shapes), "global_pool": pooled}


def describe_control(source: Source, found: Mapping[str, Piece]) -> dict[str, Any]:
    """Say what shapes and note tell; what only the base would tell is left out."""
    note = read_note(source)
    try:
        origin, settings = describe_pieces(found, note)
    except CheckpointError:
        origin, settings = origin_of(note), {}
    return {"backbone": "unet", "settings": settings, "base": asdict(origin), "metadata": metadata_of(note)}


def laid_out(stored: Stored) -> dict[str, Piece]:
    """Return all pieces by diffusers' names; taps that are not connected get the zeros they stand for."""
    return {
        their: stored.pieces[own] if own in stored.pieces else _nought(stored.net, own, stored.pieces)
        for own, their in to_diffusers(stored.net).items()
    }


def named_ldm(found: Mapping[str, Piece]) -> dict[str, Piece]:
    """Give pieces by diffusers' names those of ldm; CheckpointError for one that has none."""
    table = renamed(found, to_ldm(Structure.of_diffusers(found)))
    missing = sorted(found.keys() - table.keys())
    if missing:
        raise CheckpointError(
            f"the ldm layout has no name for {', '.join(missing[:3])}; wanted a copy of a Stable Diffusion "
            'U-Net: save with format="native"'
        )
    return {table[name]: piece for name, piece in found.items()}


def of_copy(name: str) -> bool:
    """Tell whether a piece, by diffusers' name, is of the copy: it has its like in the base."""
    return not name.startswith("controlnet_")


def refuse_unusual(net: ControlNet, layout: str) -> None:
    """Refuse what the published layouts cannot hold; CheckpointError says what it is."""
    made, config = net.settings, net.origin.configuration
    unable = [f"{key}={config[key]!r}" for key, value in _GRANTED.items() if config.get(key, value) != value]
    unable += [f"a backbone {net.backbone.name!r}"] if net.backbone.name != "unet" else []
    unable += [f"hint={made.hint!r}"] if made.hint != "published" else []
    unable += [f"copy={made.copy!r}"] if made.copy != "full" else []
    if unable:
        raise CheckpointError(
            f"the {layout} format cannot hold {', '.join(unable)}; wanted a full copy of a Stable Diffusion "
            'U-Net with hint="published": save with format="native"'
        )


def _nought(net: ControlNet, name: str, found: Mapping[str, Piece]) -> Piece:
    _, tap, kind = name.split(".")
    width = next(t.channels for t in net.taps if t.name == tap)
    dtype: torch.dtype = next(iter(found.values())).dtype
    return zeros((width, width, 1, 1) if kind == "weight" else (width,), dtype)
