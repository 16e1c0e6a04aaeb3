"""Weight files: looked at without loading them, read whole, written whole or not at all; safetensors only."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from controlnet.errors import CheckpointError
from controlnet.files import whole

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
_HALF = "diffusion_pytorch_model.fp16.safetensors"
_PICKLES = (b"PK", b"\x80")  # how torch.save's zip files and older pickles begin


@final
@dataclass(frozen=True)
class Source:
    """A file or folder seen from outside: configuration, notes, names and shapes of its tensors."""

    path: Path
    weights: Path
    config: dict[str, Any]  # of a folder; empty for a file
    notes: dict[str, str]  # the text metadata of the weight file
    shapes: dict[str, tuple[int, ...]] = field(repr=False)
    precisions: frozenset[str]


def look(path: str | Path) -> Source:
    """Look at a checkpoint without loading its tensors.

    Raises CheckpointError for what is missing, cut short, a pickle, or no safetensors at all.
    """
    path = Path(path)
    config = read_json(path / CONFIG) if path.is_dir() else {}
    weights = _weights(path) if path.is_dir() else path
    with _reading(weights), safe_open(str(weights), framework="pt") as file:
        slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
        return Source(
            path=path,
            weights=weights,
            config=config,
            notes=file.metadata() or {},
            shapes={key: tuple(part.get_shape()) for key, part in slices.items()},
            precisions=frozenset(part.get_dtype() for part in slices.values()),
        )


def read_tensors(source: Source, names: list[str] | None = None) -> dict[str, Tensor]:
    """Read all tensors, or some, onto the CPU in their stored precision."""
    with _reading(source.weights):
        if names is None:
            return load_file(str(source.weights))
        with safe_open(str(source.weights), framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}


def write_tensors(
    path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """Write tensors beside their place, force them onto the disk, and move them there in one step."""
    ready = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in tensors.items()}
    with whole(path) as part:
        save_file(ready, str(part), {"format": "pt", **notes})
        _settle(part)
    _settle(path.parent)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object in the same way."""
    with whole(path) as part:
        part.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        _settle(part)
    _settle(path.parent)


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


def _weights(folder: Path) -> Path:
    for name in (WEIGHTS, _HALF):
        if (folder / name).is_file():
            return folder / name
    found = ", ".join(sorted(entry.name for entry in folder.iterdir())[:5]) or "nothing"
    raise CheckpointError(f"{folder} holds {found}; wanted {WEIGHTS}: convert pickled weights to safetensors")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a weight file."""
    try:
        yield
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}; wanted a .safetensors file or a folder") from error
    except (SafetensorError, OSError, ValueError) as error:
        if path.is_file() and _begins(path).startswith(_PICKLES):
            mend = "which could run code; wanted safetensors: convert it where you trust it"
            raise CheckpointError(f"{path} is a pickle, {mend}") from error
        raise CheckpointError(
            f"{path} is no whole safetensors file ({error}); wanted one: it may be cut short, copy it anew"
        ) from error


def _begins(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _settle(path: Path) -> None:
    """Wait until the disk has it: a file's content, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
