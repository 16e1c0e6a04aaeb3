"""A data set folder of ours, or an imagefolder of others: metadata.jsonl beside the pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from controlnet.data.build.item import Given, Item, read_file
from controlnet.data.manifest import METADATA, fields, inside, lines


@final
@dataclass(frozen=True)
class Manifest:
    """The lines of metadata.jsonl; the caption is a column. Control maps that are there are not used."""

    folder: Path
    column: str = "caption"

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another."""
        return {"manifest": self.folder.name, "caption_column": self.column}

    def parts(self) -> Iterator[str]:
        """Give the one part, the manifest."""
        yield METADATA

    def count(self, parts: int) -> int | None:
        """Return how many pictures there are: only reading tells."""
        return None

    def items(self, part: str) -> Iterator[Item]:
        """Stream the addresses of the lines."""
        for number, offset, _ in lines(self.folder):
            yield Item(part, f"line {number}", offset)

    def read(self, item: Item) -> Given:
        """Read a line and its picture; raises BadExample."""
        with (self.folder / item.part).open("rb") as file:
            file.seek(item.at)
            record = fields(file.readline(), item.name)
        path = inside(self.folder, record["file_name"], item.name)
        return read_file(path, record["file_name"], record.get(self.column))
