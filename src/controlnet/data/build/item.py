"""What is built from: a picture's address, cheap to pass around, and what is found there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from controlnet.data.example import BadExample
from controlnet.data.shards import TEXTS

PICTURES: Final = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True)
class Item:
    """The address of a picture: the part of the source that it is in, and where in it.

    name: what a person calls it; at: offset or number of a row; members: offset and size of each member of a
    shard's record, by kind; broken: why there is nothing to be read, where that is known before.
    """

    part: str
    name: str
    at: int = 0
    members: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    broken: str | None = None


@dataclass(frozen=True)
class Given:
    """A picture's file, and the caption that came with it: from a "file", a "column", or None."""

    data: bytes
    caption: str | None = None
    caption_from: str | None = None


class Source(Protocol):
    """Where pictures come from: parts in a settled order, and in each the addresses of pictures.

    A source is small and picklable: worker processes read for themselves. What it streams it does not keep.
    """

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another, as JSON."""
        ...

    def parts(self) -> Iterator[str]:
        """Stream the names of the parts, in any order; raises DataError where the source is not there."""
        ...

    def count(self, parts: int) -> int | None:
        """Return how many pictures there are in so many parts, None where only reading tells."""
        ...

    def items(self, part: str) -> Iterator[Item]:
        """Stream the pictures of a part, always in the same order; raises BadExample where it is damaged."""
        ...

    def read(self, item: Item) -> Given:
        """Read a picture; raises BadExample."""
        ...


def read_file(path: Path, name: str, caption: Any = None) -> Given:
    """Read a picture file with its caption: that of a text file beside it, before the one of a column."""
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise BadExample("missing file", name) from error
    except OSError as error:
        raise BadExample("unreadable file", name) from error
    for kind in TEXTS:
        beside = path.with_suffix(f".{kind}")
        if beside.is_file():
            text = line_of(beside.read_bytes(), f"{name}: {beside.name}")
            if text:
                return Given(data, text, "file")
    return from_column(data, caption)


def from_column(data: bytes, caption: Any) -> Given:
    """Return a picture with the caption that a table has for it, if that is a text with something in it."""
    text = " ".join(caption.split()) if isinstance(caption, str) else ""
    return Given(data, text, "column") if text else Given(data)


def line_of(text: bytes, where: str) -> str:
    """Return a caption file as one line; raises BadExample for what is not UTF-8."""
    try:
        return " ".join(text.decode("utf-8-sig").split())
    except UnicodeDecodeError as error:
        raise BadExample("unreadable caption", where) from error
