"""The set on disk: an imagefolder, or WebDataset shards; both can be cut back to what was committed."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, BinaryIO, Final, final

from controlnet.data.build.ledger import State
from controlnet.data.build.make import Made, Refused
from controlnet.data.build.recipe import Recipe
from controlnet.data.manifest import METADATA
from controlnet.data.shards import CONDITIONING, END, RECORD, SUFFIX, packed
from controlnet.errors import DataError

HIDDEN: Final = ".build"
REFUSED: Final = "refused.jsonl"
_EACH: Final = 10_000  # pictures in a folder: one of millions is slow to list


@final
class Appended:
    """A file that only grows; what a killed build has written behind the committed length is cut off.

    Nothing is opened, let alone written, before there is something to write or to cut.
    """

    def __init__(self, path: Path, length: int) -> None:
        self.path, self.length = path, length
        self._file: BinaryIO | None = None
        found = path.stat().st_size if path.is_file() else 0
        if found < length:
            raise DataError(
                f"{path} is shorter than it was ({found} of {length} bytes); restore it, or build into "
                "another folder"
            )
        if found > length:
            with path.open("r+b") as file:
                file.truncate(length)

    def append(self, data: bytes) -> None:
        """Write at the end, as far as the system's memory: what was written outlives this process."""
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self.length += len(data)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


class Output(ABC):
    """Where examples go. `add` and `finish` change the state; once it is committed, `settle` follows."""

    def __init__(self, folder: Path, recipe: Recipe, state: State) -> None:
        self.folder, self.recipe = folder, recipe
        self.refused = Appended(folder / REFUSED, state.lengths.get(REFUSED, 0))

    @abstractmethod
    def add(self, made: Made, state: State) -> None:
        """Write an example, the state's next."""

    def finish(self, state: State) -> bool:
        """Bring what is open to its end; tell whether the state has changed."""
        return False

    def settle(self) -> None:  # noqa: B027 - most have nothing to do then
        """Do what may be done only after the state is committed."""

    def refuse(self, refused: Refused, state: State) -> None:
        """Write a line about a picture that is left out."""
        told = {"reason": refused.reason, "file": refused.name} | ({"of": refused.of} if refused.of else {})
        self.refused.append(_line(told))
        state.lengths[REFUSED] = self.refused.length

    def close(self) -> None:
        """Close the files."""
        self.refused.close()


@final
class Imagefolder(Output):
    """Pictures and maps in folders of ten thousand, and metadata.jsonl: see `controlnet.data.manifest`."""

    def __init__(self, folder: Path, recipe: Recipe, state: State) -> None:
        super().__init__(folder, recipe, state)
        self.manifest = Appended(folder / METADATA, state.lengths.get(METADATA, 0))

    def add(self, made: Made, state: State) -> None:
        """Write the files of an example, each whole or not at all, then its line."""
        number = state.accepted
        place = f"{number // _EACH:04d}/{number:08d}"
        record = _record(made, f"images/{place}.{made.suffix}", f"conditioning/{place}.png", number)
        for path, data in ((record["file_name"], made.picture), (record["conditioning"], made.conditioning)):
            self._place(self.folder / path, data)
        self.manifest.append(_line(record))
        state.lengths[METADATA] = self.manifest.length

    def close(self) -> None:
        """Close the files."""
        super().close()
        self.manifest.close()

    def _place(self, path: Path, data: bytes) -> None:
        # One name for all that is not whole yet: what a killed build has left is overwritten by the next.
        part = self.folder / HIDDEN / "part"
        part.write_bytes(data)
        try:
            part.replace(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.replace(path)


@final
class Webdataset(Output):
    """Shards of so many examples: see `controlnet.data.shards`. One that is being filled lies hidden."""

    def __init__(self, folder: Path, recipe: Recipe, state: State) -> None:
        super().__init__(folder, recipe, state)
        found = (folder / HIDDEN).glob(f"*{SUFFIX}")
        self._full = [path for path in found if int(path.stem) < state.shard]
        self.settle()  # where a build was killed in between
        self._part = self._begun(state)

    def add(self, made: Made, state: State) -> None:
        """Write the members of an example at the end of the shard, and end it when it is full."""
        key = f"{state.accepted:08d}"
        record = _record(made, f"{key}.{made.suffix}", f"{key}.{CONDITIONING}", state.accepted)
        members = ((made.suffix, made.picture), (CONDITIONING, made.conditioning), (RECORD, _line(record)))
        self._part.append(b"".join(packed(f"{key}.{kind}", data) for kind, data in members))
        state.filled += 1
        state.lengths[_hidden(state.shard)] = self._part.length
        if state.filled == self.recipe.per_shard:
            self._end(state)

    def finish(self, state: State) -> bool:
        """End the last shard."""
        if state.filled == 0:
            return False
        self._end(state)
        return True

    def settle(self) -> None:
        """Bring shards that are full from the hidden folder to their place."""
        while self._full:
            path = self._full.pop()
            path.replace(self.folder / f"shard-{path.name}")

    def close(self) -> None:
        """Close the files."""
        super().close()
        self._part.close()

    def _end(self, state: State) -> None:
        self._part.append(END)
        self._part.close()
        self._full.append(self._part.path)
        del state.lengths[_hidden(state.shard)]
        state.shard, state.filled = state.shard + 1, 0
        self._part = self._begun(state)

    def _begun(self, state: State) -> Appended:
        name = _hidden(state.shard)
        return Appended(self.folder / name, state.lengths.get(name, 0))


def _hidden(shard: int) -> str:
    return f"{HIDDEN}/{shard:06d}{SUFFIX}"


def _record(made: Made, file_name: str, conditioning: str, number: int) -> dict[str, Any]:
    provenance = {"generator": "build", "index": number, **made.provenance}
    names = {"file_name": file_name, "conditioning": conditioning}
    return {**names, "caption": made.caption, "provenance": provenance}


def _line(record: Any) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"
