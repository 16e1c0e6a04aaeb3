"""Textual-inversion files: a word with its vectors, in every layout that is about.

    {"emb_params": T}                        safetensors of the web UI
    {"<word>": T}                            diffusers, safetensors or .bin
    {"string_to_param": {"*": T}, "name": …} .pt of the web UI and of the original code
    {"clip_l": T, "clip_g": T}               SDXL, one for each text encoder

T is (N,D), or (D) for a single vector.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from controlnet.backbones import Base
from controlnet.errors import CheckpointError, ShapeError
from controlnet.tensorfiles.shard import is_pickle, open_shard, plain, read_pickle

_ENCODERS: Final = ("clip_l", "clip_g")  # in the order of a base's text encoders
_NAMELESS: Final = ("emb_params", "*")

logger = logging.getLogger(__name__)


def add_embedding(base: Base, path: str | Path, token: str | None = None) -> str:
    """Add a textual-inversion file to the words that the base's prompts may hold; return the word.

    token: the word; None takes the one that the file names, else the file's name without its suffix. A word
    that was added before is replaced. Raises CheckpointError for a file that is missing, broken, of another
    kind, or made for a base of other text encoders.
    """
    path = Path(path)
    named, vectors = _read(path)
    word = path.stem if token is None and named is None else token or named or ""
    try:
        base.add_word(word, vectors)
    except ShapeError as error:
        raise CheckpointError(f"{path}: {error}") from error
    logger.debug("%r stands for %d vectors of %s", word, len(vectors[0]), path)
    return word


def _read(path: Path) -> tuple[str | None, list[Tensor]]:
    if is_pickle(path):
        content: Any = read_pickle(path)
    else:
        content = {name: piece.load() for name, piece in open_shard(path).pieces().items()}
    if not isinstance(content, Mapping):
        raise _strange(path, f"a {type(content).__name__}")
    named: Any = content.get("name")
    inner: Any = content.get("string_to_param", content)
    if not isinstance(inner, Mapping):
        raise _strange(path, f"a {type(inner).__name__} as string_to_param")
    tensors = {str(k): plain(str(k), value, path) for k, value in inner.items() if isinstance(value, Tensor)}
    if set(tensors) == set(_ENCODERS):
        return None, [_matrix(path, tensors[key]) for key in _ENCODERS]
    if len(tensors) != 1:
        raise _strange(path, f"{len(tensors)} tensors ({', '.join(sorted(tensors)[:3]) or 'none'})")
    [(key, tensor)] = tensors.items()
    own = key if key not in _NAMELESS else named
    return own if isinstance(own, str) else None, [_matrix(path, tensor)]


def _matrix(path: Path, tensor: Tensor) -> Tensor:
    if tensor.ndim not in (1, 2) or not tensor.is_floating_point():
        raise _strange(path, f"a tensor {tuple(tensor.shape)} of {tensor.dtype}")
    if not bool(tensor.isfinite().all()):
        raise _strange(path, "numbers that are not finite")
    return tensor.reshape(-1, tensor.shape[-1])


def _strange(path: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{path} holds {got}; wanted a textual inversion: one tensor of vectors (N, width), or clip_l and "
        "clip_g for SDXL"
    )
