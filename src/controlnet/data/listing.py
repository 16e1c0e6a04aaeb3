"""The examples that a data set lists, whatever its form: lines of a manifest, or records of shards."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, TypeAlias, final

from controlnet.data import shards
from controlnet.data.example import BadExample, Example
from controlnet.data.manifest import METADATA, lines, parse, told

Address: TypeAlias = tuple[int, int]
"""Two numbers by which a listing finds an example again: all that is kept in memory of each."""


class Listing(ABC):
    """What a data set lists; `sharded` where the first number of an address is that of a shard."""

    sharded: ClassVar[bool] = False

    @abstractmethod
    def scan(self) -> Iterator[tuple[Address, Example | BadExample]]:
        """Stream all examples in their order, what cannot be one as the reason why."""

    @abstractmethod
    def example(self, address: Address) -> Example:
        """Give one example again; raises BadExample."""


def listing(folder: Path) -> Listing:
    """Return what a folder lists: its metadata.jsonl, or its shards; `scan` raises DataError for neither."""
    if not (folder / METADATA).is_file() and shards.shards(folder):
        return _Sharded(folder)
    return _Lines(folder)


@final
class _Lines(Listing):
    """A manifest; addresses are number and offset of a line."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def scan(self) -> Iterator[tuple[Address, Example | BadExample]]:
        for number, offset, line in lines(self._folder):
            try:
                yield (number, offset), parse(self._folder, line, number)
            except BadExample as bad:
                yield (number, offset), bad

    def example(self, address: Address) -> Example:
        number, offset = address
        with (self._folder / METADATA).open("rb") as file:
            file.seek(offset)
            return parse(self._folder, file.readline(), number)


@final
class _Sharded(Listing):
    """WebDataset shards; addresses are the number of a shard and the offset of a record in it."""

    sharded = True

    def __init__(self, folder: Path) -> None:
        self._shards = shards.shards(folder)

    def scan(self) -> Iterator[tuple[Address, Example | BadExample]]:
        for number, shard in enumerate(self._shards):
            offset = 0
            try:
                for record in shards.walk(shard):
                    offset = record.offset
                    try:
                        yield (number, offset), _example(shard, record)
                    except BadExample as bad:
                        yield (number, offset), bad
            except BadExample as bad:
                yield (number, offset), bad

    def example(self, address: Address) -> Example:
        number, offset = address
        shard = self._shards[number]
        record = next(shards.walk(shard, offset), None)
        if record is None:
            raise BadExample("damaged shard", shard.name)
        return _example(shard, record)


def _example(shard: Path, record: shards.Record) -> Example:
    where = f"{shard.name}/{record.key}"
    kind = record.picture()
    if kind is None:
        raise BadExample("no picture", where)
    line = shards.line(shard, record)
    if "caption" not in line:
        line = {**line, "caption": shards.text(shard, record)}
    caption, provenance = told(line, where)
    members = {
        name: shards.Member(shard, f"{record.key}.{name}", span) for name, span in record.members.items()
    }
    return Example(
        members[kind], members.get(shards.CONDITIONING), caption, provenance, members.get(shards.MASK)
    )
