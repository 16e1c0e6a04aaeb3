"""One JSON object a line, cut back to the resumed step, so that a resumed run's file is the same."""

import json
import os
from collections.abc import Iterator, Mapping
from math import isfinite
from pathlib import Path
from typing import Any, TextIO

from controlnet.files import whole


class JsonLines:
    """A file of JSON lines, each with its "step", appended one by one and flushed."""

    def __init__(self, path: Path, upto: int, writes: bool = True) -> None:
        """Open the file for appending, without the lines beyond step `upto`; a new run (0) keeps none.

        Of several processes one writes; what the others write goes nowhere.
        """
        self.kept = [line for line in _whole(path) if line["step"] <= upto] if upto else []
        self._file: TextIO | None = None
        if writes:
            with whole(path) as part:
                part.write_text("".join(map(_dumps, self.kept)), encoding="utf-8")
            self._file = path.open("a", encoding="utf-8")

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record."""
        if self._file is not None:
            self._file.write(_dumps(record))
            self._file.flush()

    def to_disk(self) -> None:
        """Wait until every record is on the disk; a state must not be newer than its records."""
        if self._file is not None:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _dumps(record: Mapping[str, Any]) -> str:
    # JSON knows no infinities, such as the norm of a gradient that has overflowed float16.
    finite = {
        key: None if isinstance(value, float) and not isfinite(value) else value
        for key, value in record.items()
    }
    return json.dumps(finite, allow_nan=False) + "\n"


def _whole(path: Path) -> Iterator[dict[str, Any]]:
    """Give the records of a file up to the first torn line, as a kill may leave it."""
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                return
