"""ControlNets on disk: `save_controlnet`, `load_controlnet`, and `describe` for a look from outside."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from controlnet.checkpoints.about import describe, format_of
from controlnet.checkpoints.io import look
from controlnet.checkpoints.rebuild import fit
from controlnet.checkpoints.shipped import locate
from controlnet.core.backbone import Locked, resolve
from controlnet.core.controlnet import ControlNet
from controlnet.core.origin import fingerprint
from controlnet.errors import CheckpointError
from controlnet.registry import find

__all__ = ["describe", "load_controlnet", "save_controlnet"]

logger = logging.getLogger(__name__)


def save_controlnet(
    net: ControlNet,
    path: str | Path,
    format: str = "native",
    metadata: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
) -> None:
    """Write a ControlNet as "native" (one file) or "diffusers" (a folder), whole or not at all.

    The metadata (plan, provenance …) must be JSON and travels with the weights; dtype is the precision on
    disk, the net's own unless given. Raises UnknownName for another format, and CheckpointError for a net
    that the format cannot hold or metadata that are no JSON.
    """
    try:
        json.dumps(metadata)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"got metadata that are no JSON ({error}); wanted plain values") from error
    find("formats", format)().write(net, Path(path), metadata or {}, dtype)
    logger.debug("saved %s as %s", path, format)


def load_controlnet(
    source: str | Path, base: Locked | nn.Module | None = None, dtype: torch.dtype | None = None
) -> ControlNet:
    """Load a ControlNet of any known format, found by its content: file, folder, shipped name or hub id.

    With a base it must fit that base, and comes in its precision and on its device; without one it is rebuilt
    from what is written with it, in single precision on the CPU. Raises CheckpointError for a source that is
    missing, broken, foreign, incomplete, or made for another architecture.
    """
    path = _found(source)
    seen = look(path)
    net = format_of(seen).read(seen)
    if base is None:
        return net.to(dtype=dtype or torch.float32)
    network, _ = resolve(base)
    fit(net, base, path)
    if net.origin.fingerprint not in ("", fingerprint(network)):
        logger.info("%s was trained with %s, of other weights than this base", path, net.origin.name)
    like = next(network.parameters())
    return net.to(like.device, dtype or like.dtype)


def _found(source: str | Path) -> Path:
    from controlnet.backbones._hub import fetch, looks_like_id

    if isinstance(source, str) and looks_like_id(source) and not Path(source).exists():
        return fetch(source, ["config.json", "*.safetensors"], weights="*.safetensors")
    return locate(source)
