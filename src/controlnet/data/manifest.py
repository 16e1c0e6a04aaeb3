"""The data set on disk: `metadata.jsonl` beside the pictures, as the `imagefolder` of `datasets` reads it.

Each line is {"file_name", "conditioning", "caption", "provenance"}, paths relative to the folder. A line is
written only after its pictures are whole, so that a writer killed at any time leaves a folder which is valid
and can be continued.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, BinaryIO, Final, final

from controlnet.data.example import BadExample, Example
from controlnet.data.pictures import Pixels, as_rgb, write_png
from controlnet.errors import DataError, ShapeError

METADATA: Final = "metadata.jsonl"
NOT_IDENTITY: Final = ("index", "version")  # of a provenance: may differ within one set

logger = logging.getLogger(__name__)


def lines(folder: Path) -> Iterator[tuple[int, int, bytes]]:
    """Stream the manifest: (line number from 1, offset in bytes, line), blank ones left out.

    Raises DataError where the folder or its metadata.jsonl is missing.
    """
    path = folder / METADATA
    if not path.is_file():
        found = "a folder without it" if folder.is_dir() else "no such folder"
        raise DataError(
            f"{folder}: wanted a folder with {METADATA}, got {found}; `controlnet dataset` makes one"
        )
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield number, offset, line
            offset += len(line)


def parse(folder: Path, line: bytes, number: int) -> Example:
    """Read one line of the manifest; raises BadExample."""
    where = f"line {number}"
    record = fields(line, where)
    caption, provenance = told(record, where)
    conditioning = record.get("conditioning")
    return Example(
        image=inside(folder, record["file_name"], where),
        conditioning=inside(folder, conditioning, where) if conditioning else None,
        caption=caption,
        provenance=provenance,
        mask=inside(folder, record["mask"], where) if record.get("mask") else None,
    )


def fields(line: bytes, where: str) -> dict[str, Any]:
    """Read one line as far as it names a picture; raises BadExample."""
    try:
        record = json.loads(line)
    except ValueError as error:  # also not UTF-8
        raise BadExample("bad JSON", where) from error
    if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
        raise BadExample("no file_name", where)
    return record


def told(record: Mapping[str, Any], where: str) -> tuple[str, Mapping[str, Any]]:
    """Return caption and provenance of a line; raises BadExample where the caption is missing.

    An empty caption is missing unless the provenance says that it is meant: caption_from "none".
    """
    caption, provenance = record.get("caption"), record.get("provenance")
    provenance = provenance if isinstance(provenance, dict) else {}
    meant = caption == "" and provenance.get("caption_from") == "none"
    if not isinstance(caption, str) or not (caption.strip() or meant):
        raise BadExample("missing caption", where)
    return caption, provenance


def inside(folder: Path, name: Any, where: str) -> Path:
    """Return a file that a manifest names; raises BadExample for one outside of its folder."""
    if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
        raise BadExample("path outside the folder", where)
    return folder / name


def save_pictures(folder: Path, number: int, image: Pixels, conditioning: Pixels | None) -> dict[str, str]:
    """Write the pictures of example `number`; returns the fields file_name and, if given, conditioning.

    Raises ShapeError when they are not uint8 pictures of one size.
    """
    names = {"file_name": f"images/{number:08d}.png"}
    arrays = [as_rgb(image)]
    if conditioning is not None:
        names["conditioning"] = f"conditioning/{number:08d}.png"
        arrays.append(as_rgb(conditioning))
        if arrays[0].shape != arrays[1].shape:
            sizes = f"{arrays[0].shape[:2]} and {arrays[1].shape[:2]}"
            raise ShapeError(
                f"example {number}: picture and control map are {sizes}, wanted one size; resize first"
            )
    for name, array in zip(names.values(), arrays, strict=True):
        write_png(folder / name, array)
    return names


@final
class DatasetWriter:
    """Append examples to a data set folder, new or begun before; one writer at a time.

    A last line torn by a kill is cut off on opening. Raises DataError when another writer holds the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file = (self.folder / METADATA).open("a+b")
        try:
            lock(self._file, self.folder)
            _mend_tail(self._file, self.folder)
            for part in self.folder.glob("*/.*.part.png"):  # left by a kill; nobody else writes here now
                part.unlink()
            self._listed = {_index(e, n) for n, e in enumerate(self._examples())}
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "DatasetWriter":
        """Give the writer to a with statement."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the manifest, whatever happened: its lines are whole."""
        self.close()

    def done(self, provenance: Mapping[str, Any]) -> set[int]:
        """Find the indices that need no more work: line and pictures are there.

        Raises DataError when the folder holds examples made in another way than `provenance` says (index and
        version aside), for a set must not be mixed by accident.
        """
        done: set[int] = set()
        for number, example in enumerate(self._examples()):
            held = {k: v for k, v in example.provenance.items() if k not in NOT_IDENTITY}
            if differing := {k for k in held | dict(provenance) if held.get(k) != provenance.get(k)}:
                key = min(differing)
                raise DataError(
                    f"{self.folder} holds examples made with {key} {held.get(key)!r}, asked for "
                    f"{provenance.get(key)!r}; continue it as it was begun, or name another folder"
                )
            if all(path is None or path.is_file() for path in (example.image, example.conditioning)):
                done.add(_index(example, number))
        return done

    def add(
        self, image: Pixels, conditioning: Pixels | None, caption: str, provenance: Mapping[str, Any]
    ) -> None:
        """Write one example, (H, W, 3) uint8 pictures of one size; provenance["index"] names its files.

        An index that is listed already gets its pictures again and no second line.
        """
        number = int(provenance.get("index", len(self._listed)))
        self.append(number, save_pictures(self.folder, number, image, conditioning), caption, provenance)

    def append(
        self, number: int, names: Mapping[str, str], caption: str, provenance: Mapping[str, Any]
    ) -> None:
        """Write the line of example `number`, whose pictures `save_pictures` has written, in any process."""
        if number in self._listed:
            return
        record = {**names, "caption": caption, "provenance": dict(provenance)}
        self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self._file.flush()  # a kill after this loses nothing
        self._listed.add(number)

    def close(self) -> None:
        """Close the manifest for good."""
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def _examples(self) -> Iterator[Example]:
        for number, _, line in lines(self.folder):
            try:
                yield parse(self.folder, line, number)
            except BadExample as bad:
                raise DataError(f"{self.folder}: cannot be continued, {bad}; take the line out") from bad


def _index(example: Example, number: int) -> int:
    return int(example.provenance.get("index", number))


def lock(file: BinaryIO, folder: Path) -> None:
    """Lock a data set folder by one of its files until that is closed; raises DataError if another has it."""
    import fcntl  # the kernel frees the lock of a killed process

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise DataError(
            f"{folder} is being written by another process; wait for it or name another folder"
        ) from error


def _mend_tail(file: BinaryIO, folder: Path) -> None:
    file.seek(0)
    content = file.read()
    if not content or content.endswith(b"\n"):
        return
    start = content.rfind(b"\n") + 1
    try:
        json.loads(content[start:])
    except ValueError:
        logger.warning("%s: the last line is torn; cut off", folder / METADATA)
        file.truncate(start)
    else:
        file.write(b"\n")  # whole but for its end
