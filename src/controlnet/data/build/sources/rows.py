"""The rows of a data set of the `datasets` library: saved to disk, in its cache, or on the hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, final

from controlnet.data.build.item import Given, Item, from_column
from controlnet.data.example import BadExample
from controlnet.errors import DataError, MissingExtra, SettingError


@final
@dataclass(frozen=True)
class Rows:
    """A split of a data set, read from its memory-mapped tables: a column of pictures, one of captions."""

    name: str
    split: str = "train"
    image: str = "image"
    column: str = "caption"

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another."""
        opened = Path(self.name).name if Path(self.name).exists() else self.name
        columns = {"image_column": self.image, "caption_column": self.column}
        return {"rows": opened, "split": self.split, **columns}

    def parts(self) -> Iterator[str]:
        """Give the one part, the split."""
        _opened(self)
        yield self.split

    def count(self, parts: int) -> int | None:
        """Return how many pictures there are."""
        return len(_opened(self))

    def items(self, part: str) -> Iterator[Item]:
        """Stream the numbers of the rows."""
        for number in range(len(_opened(self))):
            yield Item(part, f"row {number}", number)

    def read(self, item: Item) -> Given:
        """Read a row; raises BadExample where it has no picture."""
        row = _opened(self)[item.at]
        found = row[self.image] or {}
        data = found.get("bytes")
        if data is None and found.get("path"):
            path = Path(found["path"])
            data = path.read_bytes() if path.is_file() else None
        if data is None:
            raise BadExample("missing file", item.name)
        return from_column(data, row.get(self.column))


@lru_cache(maxsize=1)  # once in a process
def _opened(source: Rows) -> Any:
    try:
        import datasets  # pyright: ignore[reportMissingImports] # an extra
    except ImportError as error:
        raise MissingExtra(
            "reading a data set of `datasets` needs that library; pip install 'controlnet[datasets]'"
        ) from error
    local = Path(source.name)
    try:
        if (local / "state.json").is_file() or (local / "dataset_dict.json").is_file():
            found: Any = datasets.load_from_disk(str(local))
        else:
            found = datasets.load_dataset(source.name)
    except Exception as error:  # whatever the library raises for a set that it cannot find or read
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"datasets cannot open {source.name!r} ({said}); wanted a name on the hub, or a folder as "
            "`save_to_disk` makes"
        ) from error
    if isinstance(found, datasets.DatasetDict):
        if source.split not in found:
            raise SettingError(
                f"{source.name} has no split {source.split!r}; it has {', '.join(map(str, found))}"
            )
        found = found[source.split]
    if source.image not in found.column_names:
        raise SettingError(
            f"{source.name} has no column {source.image!r}; it has {', '.join(found.column_names)}: name the "
            "pictures' with --image-column"
        )
    kept = [name for name in (source.image, source.column) if name in found.column_names]
    return found.select_columns(kept).cast_column(source.image, datasets.Image(decode=False))
