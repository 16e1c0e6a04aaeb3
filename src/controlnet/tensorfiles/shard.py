"""One weight file: safetensors, or what torch.save wrote, told apart by content; read tensor by tensor.

Files are mapped, not read: a tensor takes memory when it is used. A mapping is renewed after some hundred
megabytes, so that pages which are done with are given back. Pickles are read by torch's weights_only loader
alone, which builds tensors and plain containers and runs nothing.
"""

from __future__ import annotations

import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from controlnet.errors import CheckpointError
from controlnet.tensorfiles.piece import Piece

DTYPES: Final[Mapping[str, torch.dtype]] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES: Final[Mapping[torch.dtype, str]] = {dtype: name for name, dtype in DTYPES.items()}
_WINDOW: Final = 256 * 2**20  # bytes read from one mapping before the next is made
_ZIP, _PICKLE = b"PK\x03\x04", b"\x80"  # how torch.save's files begin since version 1.6, and before
_LEFTOVERS = (int, float, bool, str, type(None))  # of a training, beside the tensors


class Shard(ABC):
    """An opened weight file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: dict[str, str] = {}
        self._get: Callable[[str], Tensor] | None = None
        self._read = 0
        self._mapped = True

    @abstractmethod
    def pieces(self) -> dict[str, Piece]:
        """List its tensors."""

    @abstractmethod
    def _map(self) -> Callable[[str], Tensor]:
        """Map the file anew."""

    def tensor(self, name: str) -> Tensor:
        """Return a tensor on the CPU, in its stored precision."""
        with _reading(self.path):
            if self._get is None or (self._mapped and self._read > _WINDOW):
                self._get, self._read = None, 0  # the old mapping goes before the new one comes
                self._get = self._map()
            found = self._get(name)
        self._read += found.nbytes
        return found

    def _piece(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Piece:
        return Piece(shape, dtype, lambda: self.tensor(name))


def open_shard(path: Path) -> Shard:
    """Open a weight file, whatever its suffix.

    Raises CheckpointError for one that is missing, cut short, foreign, or a pickle of more than tensors.
    """
    return _Torch(path) if is_pickle(path) else _Safetensors(path)


@final
class _Safetensors(Shard):
    def pieces(self) -> dict[str, Piece]:
        with _reading(self.path), safe_open(str(self.path), framework="pt") as file:
            self.notes = file.metadata() or {}
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
            found = {key: (tuple(part.get_shape()), part.get_dtype()) for key, part in slices.items()}
        strange = sorted({dtype for _, dtype in found.values()} - DTYPES.keys())
        if strange:
            raise CheckpointError(
                f"{self.path} holds numbers of the kind {', '.join(strange)}; wanted {', '.join(DTYPES)}: "
                "convert it where it was made"
            )
        return {key: self._piece(key, shape, DTYPES[dtype]) for key, (shape, dtype) in found.items()}

    def _map(self) -> Callable[[str], Tensor]:
        return (
            safe_open(str(self.path), framework="pt").__enter__().get_tensor
        )  # it closes with its last user


@final
class _Torch(Shard):
    def pieces(self) -> dict[str, Piece]:
        with _reading(self.path):
            tensors = self._load()
            self._mapped = _can_be_mapped(self.path)
        self._get = tensors.__getitem__
        return {name: self._piece(name, tuple(t.shape), t.dtype) for name, t in tensors.items()}

    def _map(self) -> Callable[[str], Tensor]:
        return self._load().__getitem__

    def _load(self) -> dict[str, Tensor]:
        content = read_pickle(self.path)
        if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
            content = content["state_dict"]
        if not isinstance(content, Mapping):
            raise CheckpointError(
                f"{self.path} holds a {type(content).__name__}; wanted tensors by name, or under state_dict"
            )
        return {str(name): plain(str(name), value, self.path) for name, value in content.items()}


def is_pickle(path: Path) -> bool:
    """Tell what torch.save wrote from safetensors; CheckpointError where there is no file."""
    try:
        with path.open("rb") as file:
            head = file.read(9)
    except OSError as error:
        raise CheckpointError(f"there is no file {path}; wanted a weight file or a folder") from error
    # A safetensors file begins with the length of its header, which may look like a pickle's first bytes.
    return head[8:] != b"{" and head.startswith((_ZIP, _PICKLE))


def read_pickle(path: Path) -> Any:
    """Return what torch.save wrote, of tensors and plain containers; CheckpointError for anything else."""
    with _reading(path), path.open("rb") as file, warnings.catch_warnings():
        # By its name torch.load would take it for what its suffix says, and only by name it can map.
        mapped = _can_be_mapped(path)
        place = str(path) if mapped else file
        warnings.simplefilter("ignore")  # of a damaged file; what matters raises
        return torch.load(place, map_location="cpu", weights_only=True, mmap=mapped)


def _can_be_mapped(path: Path) -> bool:
    """Tell whether torch.load can map a file: not what versions before 1.6 wrote, which is read whole."""
    with path.open("rb") as file:
        return file.read(4) == _ZIP and path.suffix != ".safetensors"


def plain(name: str, value: Any, path: Path) -> Tensor:
    """Take a dense tensor, or a plain number; CheckpointError for anything else."""
    if isinstance(value, _LEFTOVERS):
        return torch.tensor(float(value) if isinstance(value, int | float) else 0.0)
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        raise CheckpointError(f"{path} holds a {type(value).__name__} as {name!r}; wanted dense tensors only")
    if value.untyped_storage().nbytes() < value.nbytes:
        raise CheckpointError(f"{path}: {name!r} claims more numbers than there are; copy the file anew")
    return value.detach()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Say in one line what is wrong with a weight file."""
    try:
        yield
    except CheckpointError:
        raise
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}; wanted a weight file or a folder") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is no whole safetensors file ({error}); wanted one, or a file of torch.save: it may be "
            "cut short, copy it anew"
        ) from error
    except Exception as error:  # torch's loader lets every kind of error through
        raise CheckpointError(_pickled(path, error)) from error


def _pickled(path: Path, error: Exception) -> str:
    wanted = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(r"class\w* ([\w.]+\.\w+)", str(error))
    if wanted:
        return (
            f"{path} is a pickle that asks for {wanted[1]}; wanted tensors only: it was refused and nothing "
            "in it has run; save its state_dict where you trust it"
        )
    first = (str(error).strip().splitlines() or [""])[0][:160]
    return f"{path} is no whole file of torch.save ({type(error).__name__}: {first}); copy it anew"
