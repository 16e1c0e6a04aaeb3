"""LoRA on a base: its low-rank differences added to the weights, once, so that they cost nothing afterwards.

    W ← W + weight · alpha/rank · up·down

Source: Hu et al. 2021, arXiv 2106.09685, section 4.1. A ControlNet works on such a base as on any other.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Final, final

import torch
from torch import nn

from controlnet.backbones import Base
from controlnet.checkpoints.io import read_object
from controlnet.checkpoints.lora_keys import PEFT, layers, part_of
from controlnet.checkpoints.peft import alpha, settings_beside
from controlnet.errors import CheckpointError, SettingError
from controlnet.tensorfiles.piece import Piece
from controlnet.tensorfiles.shard import open_shard

_FILES: Final = ("pytorch_lora_weights.safetensors", "adapter_model.safetensors")
_NOTE: Final = "lora_adapter_metadata"  # where newer versions of diffusers keep alpha

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class _Factors:
    """What a file holds for one layer."""

    up: Piece
    down: Piece
    alpha: float

    @property
    def rank(self) -> int:
        return self.down.shape[0]

    def merge(self, layer: nn.Linear | nn.Conv2d, weight: float) -> None:
        old = layer.weight
        up, down = (part.load().to(old.device, torch.float32).flatten(1) for part in (self.up, self.down))
        change = (up @ down).reshape(old.shape)
        # A new tensor, since the old one may be mapped from a file that others read.
        old.data = (old.float() + weight * self.alpha / self.rank * change).to(old.dtype)


@torch.no_grad()
def add_lora(base: Base, path: str | Path, weight: float = 1.0) -> None:
    """Merge a LoRA, times `weight`, into the base's U-Net and text encoders.

    The layouts of kohya, diffusers and peft are read (`lora_keys`). Several add up; the base is as it was
    only when loaded anew. path: a file, or a folder of diffusers or peft. Raises CheckpointError, and changes
    nothing, for a file that is missing, broken or of another base, and for one that holds anything else than
    LoRA of linear and convolution layers, naming it.
    """
    if not isfinite(weight):
        raise SettingError(f"got a LoRA weight of {weight}; wanted a finite number, usually 0 to 1")
    place = _file(Path(path))
    known = layers(base)
    found = _factors(place, set(known))
    for name, factors in found.items():
        _check(place, name, factors, known[name])
    for name, factors in found.items():
        factors.merge(known[name], weight)
    logger.debug("merged %d layers of %s, times %g", len(found), place, weight)


def _file(path: Path) -> Path:
    if not path.is_dir():
        return path
    for name in _FILES:
        if (path / name).is_file():
            return path / name
    raise CheckpointError(f"{path} has none of {' and '.join(_FILES)}; wanted one of them, or a file")


def _factors(path: Path, known: set[str]) -> dict[str, _Factors]:
    """Read the factors of each layer; every key of the file is accounted for."""
    shard = open_shard(path)
    parts: dict[str, dict[str, Piece]] = {}
    strange: list[str] = []
    for key, piece in shard.pieces().items():
        split = part_of(key)
        if split is None or split[0] not in known:
            strange.append(key)
        else:
            parts.setdefault(split[0], {})[split[1]] = piece
    if strange:
        listed = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise CheckpointError(
            f"{path} holds {len(strange)} tensors that mean nothing for this base ({listed}); wanted LoRA of "
            "its linear and convolution layers: give the base that it was made for (LoHa, LoKr and DoRA are "
            "not read)"
        )
    halves = [name for name, own in parts.items() if not {"up", "down"} <= own.keys()]
    if halves or not parts:
        raise CheckpointError(
            f"{path} holds {f'only a part of {halves[0]}' if halves else 'nothing'}; wanted up and down for "
            "each layer: copy it anew"
        )
    scales = _Alphas(path, shard.notes)
    return {
        name: _Factors(own["up"], own["down"], scales.of(name, own.get("alpha"), own["down"].shape[0]))
        for name, own in parts.items()
    }


def _check(path: Path, name: str, factors: _Factors, layer: nn.Linear | nn.Conv2d) -> None:
    wanted, up, down = tuple(layer.weight.shape), factors.up.shape, factors.down.shape
    flat = len(up) >= 2 and len(down) >= 2 and up[1] == down[0] > 0 and prod(up[2:]) == 1
    if not flat or (up[:1], prod(down[1:])) != (wanted[:1], prod(wanted[1:])):
        raise CheckpointError(
            f"{path}: {name} has factors {up} and {down}, this base's layer is {wanted}; wanted (out, rank) "
            "and (rank, in …): give the base that it was made for"
        )


@final
class _Alphas:
    """Finds alpha, by which a layer's factors are scaled: beside them, or in the settings of the whole."""

    def __init__(self, path: Path, notes: Mapping[str, str]) -> None:
        self._path = path
        self._notes = read_object(notes[_NOTE], path) if _NOTE in notes else {}

    def of(self, name: str, beside: Piece | None, rank: int) -> float:
        if beside is not None:
            if prod(beside.shape) != 1:
                raise CheckpointError(f"{self._path}: alpha of {name} is {beside.shape}; wanted one number")
            return float(beside.load())
        if name.startswith(f"{PEFT}."):
            return alpha(settings_beside(self._path), name.removeprefix(f"{PEFT}."), rank, self._path)
        model, _, layer = name.partition(".")
        prefix = f"{model}."
        own = {key.removeprefix(prefix): v for key, v in self._notes.items() if key.startswith(prefix)}
        return alpha(own, layer, rank, self._path) if own else float(rank)
