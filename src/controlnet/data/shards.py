"""WebDataset shards: tar files in which the members of one record stand together and share their name.

A record is `00000012.png` (or .jpg, .webp), `00000012.cond.png` and `00000012.json`, the line that
`metadata.jsonl` would have (see `manifest`); shards of others may have `.txt` in place of the last. What
stands before the first dot is the record's key, the rest says what a member is.
"""

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, Final, cast, final

from controlnet.data.example import BadExample
from controlnet.errors import DataError

PICTURES: Final = ("png", "jpg", "jpeg", "webp")
CONDITIONING: Final = "cond.png"
MASK: Final = "mask.png"
RECORD: Final = "json"
TEXTS: Final = ("txt", "caption")
SUFFIX: Final = ".tar"
END: Final = bytes(2 * tarfile.BLOCKSIZE)

Span = tuple[int, int]


@final
@dataclass(frozen=True)
class Record:
    """Where a record lies in a shard: its first header, and (offset, bytes) of each member by its kind."""

    key: str
    offset: int
    members: Mapping[str, Span]

    def picture(self) -> str | None:
        """Return the kind of the member that is the picture."""
        return next((kind for kind in PICTURES if kind in self.members), None)


@final
@dataclass(frozen=True)
class Member:
    """A file within a shard, to be read as one reads a path: by `open`, `is_file`, `name` and `parent`."""

    parent: Path
    name: str
    span: Span

    def is_file(self) -> bool:
        """Tell that it is there: whoever listed it has seen it."""
        return True

    def open(self, mode: str = "rb") -> BinaryIO:
        """Return the file; only what is asked for is read from the disk."""
        return io.BufferedReader(_Window(self.parent, self.span))  # pyright: ignore[reportReturnType]


class _Window(io.RawIOBase):
    """A part of a shard as a file of its own."""

    def __init__(self, shard: Path, span: Span) -> None:
        self._shard, self._span, self._at = shard, span, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._span[1])[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        start, size = self._span
        found = read(self._shard, (start + self._at, max(0, min(len(view), size - self._at))))
        view[: len(found)] = found
        self._at += len(found)
        return len(found)


def shards(folder: Path) -> list[Path]:
    """Return the shards of a folder, sorted by name; none where there are none."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("."))


def walk(shard: Path, start: int = 0) -> Iterator[Record]:
    """Stream the records of a shard by its headers alone, from the one that begins at an offset.

    Raises BadExample where the shard is damaged or cut short: after the records that are known to be whole.
    """
    key, first = "", 0
    members: dict[str, Span] = {}
    try:
        size = shard.stat().st_size
        with shard.open("rb") as file:
            file.seek(start)
            with tarfile.open(fileobj=file, mode="r:") as tar:
                for member in tar:
                    cast(Any, tar).members.clear()  # it would remember them all
                    folder, slash, name = member.name.rpartition("/")
                    stem, _, kind = name.partition(".")
                    if not member.isreg() or not stem or not kind:
                        continue
                    if f"{folder}{slash}{stem}" != key:
                        if members:
                            yield Record(key, first, members)
                        key, first, members = f"{folder}{slash}{stem}", member.offset, {}
                    if member.offset_data + member.size > size:
                        raise tarfile.ReadError("cut short")
                    members[kind.lower()] = (member.offset_data, member.size)
                # tarfile takes any block that it cannot read for the end
                if any(read(shard, (tar.offset, min(tarfile.BLOCKSIZE, size - tar.offset)))):
                    raise tarfile.ReadError("no header")
    except (tarfile.TarError, OSError, ValueError) as error:
        reason = "missing file" if isinstance(error, FileNotFoundError) else "damaged shard"
        raise BadExample(reason, f"{shard.name} after {key or 'its start'}") from error
    if members:
        yield Record(key, first, members)


def read(shard: Path, span: Span) -> bytes:
    """Read a member; raises BadExample where the shard has become shorter or is gone."""
    try:
        state = shard.stat()
        opened = _opened(shard, state.st_ino, state.st_mtime_ns)
        found = os.pread(opened.number, span[1], span[0])
    except OSError as error:
        raise BadExample("missing file", shard.name) from error
    if len(found) < span[1]:
        raise BadExample("damaged shard", shard.name)
    return found


class _Opened:
    """An open shard, closed once nobody reads from it."""

    def __init__(self, shard: Path) -> None:
        self.number = os.open(shard, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@lru_cache(maxsize=64)
def _opened(shard: Path, node: int, changed: int) -> _Opened:
    return _Opened(shard)


def line(shard: Path, record: Record) -> dict[str, Any]:
    """Read a record's line, {} where it has none; raises BadExample for what is no JSON object."""
    if RECORD not in record.members:
        return {}
    where = f"{shard.name}/{record.key}"
    try:
        found = json.loads(read(shard, record.members[RECORD]))
    except ValueError as error:  # also not UTF-8
        raise BadExample("bad JSON", where) from error
    if not isinstance(found, dict):
        raise BadExample("bad JSON", where)
    return found


def text(shard: Path, record: Record) -> str | None:
    """Read the caption of a record from its text, as one line; None without; raises BadExample."""
    for kind in TEXTS:
        if kind in record.members:
            try:
                found = " ".join(read(shard, record.members[kind]).decode("utf-8-sig").split())
            except UnicodeDecodeError as error:
                raise BadExample("unreadable caption", f"{shard.name}/{record.key}") from error
            if found:
                return found
    return None


def packed(name: str, data: bytes) -> bytes:
    """Return a member as it stands in a shard: the same bytes for the same name and data, always."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return head + data + bytes(-len(data) % tarfile.BLOCKSIZE)


def wanted(folder: Path) -> list[Path]:
    """Return the shards of a folder; raises DataError where there are none."""
    found = shards(folder)
    if not found:
        raise DataError(
            f"{folder} holds no shard; wanted files *{SUFFIX}, as `controlnet dataset build` makes"
        )
    return found
