"""Checkpoints from outside (`look`), and files written tensor by tensor, whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from controlnet.errors import CheckpointError
from controlnet.files import whole
from controlnet.tensorfiles.piece import Piece, piece
from controlnet.tensorfiles.shard import NAMES, open_shard

CONFIG: Final = "config.json"
ADAPTER: Final = "adapter_config.json"  # of peft
WEIGHTS: Final = "diffusion_pytorch_model.safetensors"
_STEM: Final = "diffusion_pytorch_model"
# What a folder's weights may be called, the best first; an index names the parts of a divided one.
_PLACES: Final = (
    *(f"{_STEM}.safetensors", f"{_STEM}.safetensors.index.json"),
    *(f"{_STEM}.fp16.safetensors", f"{_STEM}.safetensors.index.fp16.json"),
    *(f"{_STEM}.bin", f"{_STEM}.bin.index.json", f"{_STEM}.fp16.bin"),
    *("adapter_model.safetensors", "adapter_model.bin"),
)


@final
@dataclass(frozen=True)
class Source:
    """A file or folder seen from outside: configuration, notes, and its tensors, which are not yet loaded."""

    path: Path
    files: tuple[Path, ...]  # of weights: several where they are divided
    config: dict[str, Any]  # of a folder; empty for a file
    notes: dict[str, str]  # the text metadata of the weight files
    pieces: dict[str, Piece] = field(repr=False)

    @property
    def single(self) -> bool:
        """Whether it is a file, not a folder."""
        return self.files == (self.path,)

    @property
    def precisions(self) -> list[str]:
        """The precisions in it, as safetensors calls them."""
        return sorted({NAMES.get(piece.dtype, str(piece.dtype)) for piece in self.pieces.values()})


def look(path: str | Path) -> Source:
    """Look at a checkpoint without loading its tensors.

    Raises CheckpointError for what is missing, cut short, unsafe, or no weight file.
    """
    path = Path(path)
    config = _config(path) if path.is_dir() else {}
    files = _weights(path) if path.is_dir() else (path,)
    notes: dict[str, str] = {}
    found: dict[str, Piece] = {}
    for file in files:
        shard = open_shard(file)
        part = shard.pieces()
        twice = sorted(found.keys() & part.keys())
        if twice:
            raise CheckpointError(f"{path} holds {twice[0]} in two of its files; copy it anew")
        found |= part
        notes |= shard.notes
    return Source(path, files, config, notes, found)


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """Write tensors that are in memory; see `write_pieces`."""
    write_pieces(path, {name: piece(tensor) for name, tensor in tensors.items()}, notes, dtype)


def write_pieces(
    path: Path, pieces: Mapping[str, Piece], notes: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """Write a safetensors file one piece at a time, beside its place; then move it there in one step.

    dtype is the precision of floating-point numbers on disk, their own unless given. Raises CheckpointError
    where a number is too large for it.
    """
    kinds = {
        name: dtype if dtype and part.dtype.is_floating_point else part.dtype for name, part in pieces.items()
    }
    order = sorted(pieces, key=lambda name: (-kinds[name].itemsize, name))  # keeps every tensor aligned
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **notes}}
    end = 0
    for name in order:
        start, shape = end, pieces[name].shape
        end += kinds[name].itemsize * torch.Size(shape).numel()
        header[name] = {"dtype": NAMES[kinds[name]], "shape": list(shape), "data_offsets": [start, end]}
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with whole(path) as part:
        with part.open("wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for name in order:
                ready = _cast(name, pieces[name].load(), kinds[name])
                file.write(ready.reshape(-1).view(torch.uint8).numpy().data)
        settle(part)
    settle(path.parent)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in the same way."""
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        settle(part)
    settle(path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; CheckpointError where there is none."""
    try:
        return read_object(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"cannot read {path} ({type(error).__name__}); wanted a folder with {CONFIG} and {WEIGHTS}: copy "
            "it anew"
        ) from error


def read_object(text: str, path: Path) -> dict[str, Any]:
    """Parse a JSON object that stands in a file; CheckpointError, which names the file, for anything else."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: {error}; wanted a JSON object: the file is broken, copy it anew"
        ) from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}; wanted a JSON object: copy it anew")
    return content


def settle(path: Path) -> None:
    """Wait until the disk has it: a file's content, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _config(folder: Path) -> dict[str, Any]:
    adapter = not (folder / CONFIG).is_file() and (folder / ADAPTER).is_file()
    return read_json(folder / (ADAPTER if adapter else CONFIG))


def _weights(folder: Path) -> tuple[Path, ...]:
    """Find the weight files of a folder."""
    for name in _PLACES:
        if not (folder / name).is_file():
            continue
        if not name.endswith(".json"):
            return (folder / name,)
        parts = read_json(folder / name).get("weight_map")
        names = sorted(set(parts.values())) if isinstance(parts, dict) else []
        if not names or any(not isinstance(part, str) or Path(part).name != part for part in names):
            raise CheckpointError(f"{folder / name} names no parts of this folder; copy it anew")
        return tuple(folder / part for part in names)
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
    raise CheckpointError(f"{folder} holds {found}; wanted {WEIGHTS}: copy the weights into it")


def _cast(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    ready = tensor.detach().to("cpu", dtype).contiguous()
    narrower = dtype.itemsize < tensor.dtype.itemsize
    if narrower and tensor.is_floating_point() and bool((ready.isinf() & tensor.isfinite().to("cpu")).any()):
        raise CheckpointError(
            f"{name} holds numbers too large for {NAMES[dtype]}; wanted a wider precision: take bf16 or fp32"
        )
    return ready
