"""WebDataset shards, ours or others'."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from controlnet.data import shards
from controlnet.data.build.item import Given, Item, from_column
from controlnet.data.example import BadExample


@final
@dataclass(frozen=True)
class Tars:
    """Shards of a folder; captions are members .txt or .caption, else a field of the member .json."""

    folder: Path
    column: str = "caption"

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another."""
        return {"shards": self.folder.name, "caption_column": self.column}

    def parts(self) -> Iterator[str]:
        """Stream the names of the shards."""
        return (path.name for path in shards.wanted(self.folder))

    def count(self, parts: int) -> int | None:
        """Return how many pictures there are: only reading tells."""
        return None

    def items(self, part: str) -> Iterator[Item]:
        """Stream the addresses of a shard's records; raises BadExample where it is damaged."""
        for record in shards.walk(self.folder / part):
            yield Item(part, f"{part}/{record.key}", members=record.members)

    def read(self, item: Item) -> Given:
        """Read a picture with its caption; raises BadExample."""
        shard, record = self.folder / item.part, shards.Record(item.name, 0, item.members)
        kind = record.picture()
        if kind is None:
            raise BadExample("no picture", item.name)
        data = shards.read(shard, record.members[kind])
        caption = shards.text(shard, record)
        if caption:
            return Given(data, caption, "file")
        return from_column(data, shards.line(shard, record).get(self.column))
