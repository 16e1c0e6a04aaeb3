"""Tensors on disk by key, in shards that are written once and whole, and read by mapping them.

    FOLDER/3f…e1.safetensors    tensors "KEY/NAME"; the header holds the identity of the model that made them
                                and a check sum for each
    FOLDER/complete-NAME.json   shards, by name and size, in which a whole set was found

A shard has its name only when it is whole, so a kill loses no more than the entries not yet written; the next
run finds the rest. What cannot be read counts as absent, is reported in one line, and is made again.
"""

import json
import logging
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, final

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from controlnet.errors import DataError
from controlnet.files import remove_parts, whole

SHARD_BYTES: Final = 64 * 2**20
SHARD_ENTRIES: Final = 1024
OPEN_SHARDS: Final = 128  # mapped at a time
ABANDONED: Final = 86_400.0  # seconds: nobody is so long at writing a shard
_FORMAT: Final = "controlnet cache 1"

logger = logging.getLogger(__name__)


class _Shard(NamedTuple):
    """An open shard: its tensors, and for each key the check sums of its parts by name."""

    file: Any
    sums: dict[str, dict[str, int]]


@final
class TensorStore:
    """The entries of one folder, key → {name: tensor}; keys are hexadecimal, as `keys` makes them.

    identity says by which model, in which precision, the tensors were made: a shard of another identity is
    left alone and left out. Memory: 12 bytes an entry. Several processes may write into one folder, each
    through a store of its own; `refresh` sees what the others have written. Raises SettingError where the
    folder cannot be written to, DataError where the disk is full.
    """

    def __init__(self, folder: str | Path, identity: str, limit: int = SHARD_BYTES) -> None:
        self.folder = Path(folder)
        self.identity = identity
        self._limit = limit
        self._pending: dict[str, dict[str, Tensor]] = {}
        self._bytes = 0
        self._open: OrderedDict[int, _Shard] = OrderedDict()
        self._fresh: dict[str, int] = {}  # written since the last look, key → shard
        self._paths: list[Path] = []
        self._sizes: dict[str, int] = {}
        self._prefixes = np.empty(0, np.uint64)
        self._shards = np.empty(0, np.uint32)
        remove_parts(self.folder, ABANDONED)
        self.refresh()

    def refresh(self) -> None:
        """Look at the folder anew, passing over what is torn or foreign."""
        self._open.clear()
        self._fresh.clear()
        self._paths, self._sizes = [], {}
        prefixes: list[np.ndarray[Any, Any]] = []
        for path in sorted(self.folder.glob("*.safetensors")):
            shard = None if path.name.startswith(".") else self._read(path)  # a dot: somebody is at it
            if shard is not None:
                prefixes.append(np.array([_prefix(key) for key in shard.sums], np.uint64))
                self._paths.append(path)
                self._sizes[path.name] = path.stat().st_size
        counts = [len(part) for part in prefixes]
        owners = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        joined = np.concatenate([np.empty(0, np.uint64), *prefixes])
        order = np.argsort(joined, kind="stable")
        self._prefixes, self._shards = joined[order], owners[order]

    def __len__(self) -> int:
        """Count the entries on the disk and those about to be written."""
        return len(self._prefixes) + len(self._fresh) + len(self._pending)

    def __contains__(self, key: str) -> bool:
        """Tell whether there is an entry of this name, sound or not; no tensor is read."""
        return key in self._pending or any(self._sums(number, key) for number in self._owners(key))

    def get(self, key: str) -> dict[str, Tensor] | None:
        """Return an entry, mapped from the disk; None where there is none or only a damaged one."""
        if key in self._pending:
            return dict(self._pending[key])
        for number in self._owners(key):
            if (found := self._entry(number, key)) is not None:
                return found
        return None

    def put(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Add an entry of tensors on the CPU; it is on the disk at the latest after `flush`."""
        own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
        self._pending[key] = own
        self._bytes += sum(tensor.nbytes for tensor in own.values())
        if self._bytes >= self._limit or len(self._pending) >= SHARD_ENTRIES:
            self.flush()

    def flush(self) -> None:
        """Write what is pending as one shard; DataError where that fails, the entries then being kept."""
        if not self._pending:
            return
        sums = {key: {n: _sum(t) for n, t in entry.items()} for key, entry in self._pending.items()}
        tensors = {f"{key}/{name}": t for key, entry in self._pending.items() for name, t in entry.items()}
        header = {"format": _FORMAT, "identity": self.identity, "sums": json.dumps(sums)}
        name = sha256(" ".join(sorted(sums)).encode()).hexdigest()[:16]
        path = self.folder / f"{name}.safetensors"
        try:
            with whole(path) as part:
                save_file(tensors, part, metadata=header)
        except (OSError, SafetensorError) as error:
            raise DataError(
                f"cannot write the cache in {self.folder} ({error}); free some space, name another "
                "data.cache_folder or set data.cache to none: what is written already is kept"
            ) from error
        self._fresh |= dict.fromkeys(sums, len(self._paths))
        self._paths.append(path)
        self._sizes[path.name] = path.stat().st_size
        self._pending, self._bytes = {}, 0

    def mark(self, name: str) -> None:
        """Note that everything of a set, under whatever name, is in the shards that are here now."""
        with whole(self._mark(name)) as part:
            part.write_text(json.dumps({"identity": self.identity, "shards": self._sizes}), encoding="utf-8")

    def marked(self, name: str) -> bool:
        """Tell whether a set was noted as whole and its shards are as they were then."""
        try:
            noted = json.loads(self._mark(name).read_text(encoding="utf-8"))
            shards = dict(noted["shards"]).items()
            return noted["identity"] == self.identity and shards <= self._sizes.items()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _mark(self, name: str) -> Path:
        return self.folder / f"complete-{name}.json"

    def _owners(self, key: str) -> list[int]:
        """Give the shards that may hold a key: those of its first 64 bits."""
        prefix = _prefix(key)
        first, last = (int(np.searchsorted(self._prefixes, prefix, side)) for side in ("left", "right"))
        fresh = [self._fresh[key]] if key in self._fresh else []
        return [*fresh, *self._shards[first:last].tolist()]

    def _sums(self, number: int, key: str) -> dict[str, int] | None:
        shard = self._shard(number)
        return None if shard is None else shard.sums.get(key)

    def _entry(self, number: int, key: str) -> dict[str, Tensor] | None:
        shard = self._shard(number)
        if shard is None or key not in shard.sums:
            return None
        try:
            found = {name: shard.file.get_tensor(f"{key}/{name}") for name in shard.sums[key]}
        except SafetensorError as error:
            logger.warning("cache %s: entry %s cannot be read (%s)", self._paths[number], key, error)
            return None
        if any(_sum(found[name]) != wanted for name, wanted in shard.sums[key].items()):
            logger.warning("cache %s: entry %s is damaged; it is made again", self._paths[number], key)
            return None
        return found

    def _shard(self, number: int) -> _Shard | None:
        shard = self._open.pop(number, None) or self._read(self._paths[number])
        if shard is not None:
            self._open[number] = shard
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        return shard

    def _read(self, path: Path) -> _Shard | None:
        try:
            file = safe_open(path, framework="pt")
            header = file.metadata() or {}
            sums = json.loads(header["sums"]) if header.get("format") == _FORMAT else {}
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError) as error:
            logger.warning("cache %s is torn (%s); its entries are made again", path, error)
            path.unlink(missing_ok=True)
            return None
        if not sums or header.get("identity") != self.identity:
            made = header.get("identity", "something else")
            logger.warning("cache %s was made by %s, wanted %s; it is left out", path, made, self.identity)
            return None
        return _Shard(file, sums)


def _prefix(key: str) -> np.uint64:
    return np.uint64(int(key[:16], 16))


def _sum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.contiguous().view(torch.uint8).numpy().tobytes())
