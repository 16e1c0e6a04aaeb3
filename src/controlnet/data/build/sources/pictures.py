"""A folder of pictures with its subfolders, captions in text files beside them."""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from controlnet.data.build.item import PICTURES, Given, Item, read_file
from controlnet.errors import DataError

logger = logging.getLogger(__name__)


@final
@dataclass(frozen=True)
class Pictures:
    """Every picture under a folder; hidden files and folders are passed over."""

    folder: Path

    def identity(self) -> dict[str, Any]:
        """Return what tells this source from another."""
        return {"pictures": self.folder.name}

    def parts(self) -> Iterator[str]:
        """Stream the pictures' paths in the folder, each a part of its own."""
        if not self.folder.is_dir():
            raise DataError(f"{self.folder}: no such folder; wanted one with pictures")
        return self._under("")

    def count(self, parts: int) -> int | None:
        """Return how many pictures there are."""
        return parts

    def items(self, part: str) -> Iterator[Item]:
        """Give the one picture that a part is."""
        yield Item(part, part)

    def read(self, item: Item) -> Given:
        """Read a picture and the caption beside it; raises BadExample."""
        return read_file(self.folder / item.part, item.name)

    def _under(self, place: str) -> Iterator[str]:
        folders: list[str] = []
        with os.scandir(self.folder / place) as found:
            for entry in found:
                name = f"{place}{entry.name}"
                if entry.name.startswith("."):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif os.path.splitext(entry.name)[1].lower() in PICTURES:
                    try:
                        name.encode()
                    except UnicodeEncodeError:
                        logger.warning("%r is left out: its name is not UTF-8; rename it", name)
                    else:
                        yield name
        for name in folders:  # after the handle of this folder is closed
            yield from self._under(f"{name}/")
