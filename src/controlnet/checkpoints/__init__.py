"""ControlNets on disk, from `load_controlnet` to `convert`; LoRA and embeddings, added to a base."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from controlnet.checkpoints.about import describe, format_of
from controlnet.checkpoints.base import base_weights
from controlnet.checkpoints.conversion import convert
from controlnet.checkpoints.decoder import add_decoder
from controlnet.checkpoints.embedding import add_embedding
from controlnet.checkpoints.format import Writing
from controlnet.checkpoints.io import look
from controlnet.checkpoints.kept import kept
from controlnet.checkpoints.lora import add_lora
from controlnet.checkpoints.rebuild import fit
from controlnet.checkpoints.shipped import found
from controlnet.checkpoints.stored import Stored
from controlnet.core.backbone import Locked
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, SettingError
from controlnet.registry import find

__all__ = [
    "add_decoder",
    "add_embedding",
    "add_lora",
    "convert",
    "describe",
    "load_controlnet",
    "save_controlnet",
]

logger = logging.getLogger(__name__)


def save_controlnet(
    net: ControlNet,
    path: str | Path,
    format: str = "native",
    metadata: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    base: Locked | nn.Module | str | Path | None = None,
    rank: int = 64,
) -> None:
    """Write a ControlNet, whole or not at all, as "native", "diffusers", "ldm" … (docs/formats.md).

    The metadata (plan, provenance …) must be JSON and travels with the weights; dtype is the precision on
    disk, the net's own unless given. "difference" and "control_lora" want the base, the latter takes a rank.
    Raises UnknownName for another format, and CheckpointError for a net that the format cannot hold or
    metadata that are no JSON.
    """
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"got metadata that are no JSON ({error}); wanted plain values") from error
    how = Writing(dtype, None if base is None else base_weights(base), rank)
    find("formats", format)().write(Stored.of(net, metadata or {}), Path(path), how)
    logger.debug("saved %s as %s", path, format)


def load_controlnet(
    source: str | Path,
    base: Locked | nn.Module | None = None,
    dtype: torch.dtype | None = None,
    *,
    merge: bool = True,
) -> ControlNet:
    """Load a ControlNet of any known format, found by its content: file, folder, shipped name or hub id.

    With a base it must fit that base, and comes in its precision and on its device; without one it is rebuilt
    from what is written with it, in single precision on the CPU. merge=False keeps a Control-LoRA's factors
    beside the base's own weights, which then serve both: less memory, more work in every pass, equal outputs.

    Raises CheckpointError for a source that is missing, broken, foreign, incomplete, made for another
    architecture, or that needs a base and got none; SettingError for merge=False where there are no factors
    or dtype is not the base's.
    """
    path = found(source)
    seen = look(path)
    kind = format_of(seen)
    if base is None and not merge:
        raise SettingError(
            "got merge=False and no base; wanted the base whose weights it shall share: add base=…"
        )
    if base is None:
        return kind.read(seen, None).wake("cpu", dtype or torch.float32)
    known = base_weights(base)
    stored = kind.read(seen, known)
    network = fit(stored.net, base, path)
    origin = stored.net.origin
    # A base whose decoder was trained along has another fingerprint than it had before.
    if origin.fingerprint not in ("", known.origin.fingerprint) and not origin.decoder:
        logger.info("%s was trained with %s, of other weights than this base", path, origin.name)
    like = next(network.parameters())
    if not merge:
        if not stored.factors or dtype not in (None, like.dtype):
            got = f"dtype={dtype}" if stored.factors else kind.title
            raise SettingError(
                f"got merge=False for {path} and {got}; wanted a Control-LoRA in its base's precision "
                f"({like.dtype}): leave merge out"
            )
        return kept(stored.net, stored.pieces, stored.factors, network, like.dtype)
    return stored.wake(like.device, dtype or like.dtype)
