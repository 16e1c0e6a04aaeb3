"""Which source an argument means."""

from pathlib import Path
from typing import Final

from controlnet.data import shards
from controlnet.data.build.item import Source
from controlnet.data.build.sources.manifest import Manifest
from controlnet.data.build.sources.pictures import Pictures
from controlnet.data.build.sources.rows import Rows
from controlnet.data.build.sources.tars import Tars
from controlnet.data.manifest import METADATA
from controlnet.errors import DataError, SettingError

KINDS: Final = ("pictures", "manifest", "shards", "datasets")
_SAVED: Final = ("state.json", "dataset_dict.json")  # what `save_to_disk` leaves


def open_source(
    place: str, kind: str | None = None, caption: str = "caption", image: str = "image", split: str = "train"
) -> Source:
    """Return the source at a place: a folder, or with kind "datasets" also a name on the hub.

    Without a kind the folder's content tells: shards, a saved data set of `datasets`, metadata.jsonl, or
    pictures. caption, image: columns; split: of a `datasets` data set. Raises DataError where there is no
    such folder, and SettingError for an unknown kind.
    """
    folder = Path(place)
    kind = kind or _kind(folder)
    if kind == "datasets":
        return Rows(place, split, image, caption)
    if not folder.is_dir():
        raise DataError(f"{place}: no such folder; wanted one with {kind}")
    if kind == "shards":
        return Tars(folder, caption)
    if kind == "manifest":
        return Manifest(folder, caption)
    if kind == "pictures":
        return Pictures(folder)
    raise SettingError(f"got a source of kind {kind!r}, wanted one of {', '.join(KINDS)}")


def _kind(folder: Path) -> str:
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; wanted pictures, a data set or shards in one, or, for a name on the "
            "hub, --from datasets"
        )
    if shards.shards(folder):
        return "shards"
    if any((folder / name).is_file() for name in _SAVED):
        return "datasets"
    return "manifest" if (folder / METADATA).is_file() else "pictures"
