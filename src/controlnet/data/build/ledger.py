"""What a build remembers, on disk: its recipe, the parts of its source, how far it is, which pictures it has.

A database of SQLite in the set's hidden folder. What is kept there is committed picture by picture, so that a
build that is killed goes on at the picture at which it was; nothing of it grows in memory.
"""

import errno
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, final

from controlnet.data.build.perceptual import distance, keys
from controlnet.errors import DataError

_PAGE: Final = 1000  # parts that are read at once
_BYTES: Final = 1024  # of a page: each hash changes some that lie far apart, and they are written whole
_LOG: Final = 32_000  # pages; each time it is full the disk is waited for
_HALF: Final = 2**63  # SQLite's numbers have a sign
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS looks (key INTEGER, hash INTEGER, number INTEGER, PRIMARY KEY (key, hash))
  WITHOUT ROWID;
"""


@dataclass
class State:
    """How far a build is.

    part, index: the next item, the parts counted from 1; accepted, refused: examples so far, the latter by
    reason; lengths: bytes of each file that is appended to, by its path in the set; shard, filled: the shard
    that is being filled, and its examples.
    """

    part: int = 1
    index: int = 0
    accepted: int = 0
    refused: dict[str, int] = field(default_factory=dict[str, int])
    lengths: dict[str, int] = field(default_factory=dict[str, int])
    shard: int = 0
    filled: int = 0

    @property
    def seen(self) -> int:
        """How many pictures have been looked at."""
        return self.accepted + sum(self.refused.values())


@final
class Ledger:
    """The memory of one build; one process at a time. Raises DataError for a file that is no such memory."""

    def __init__(self, path: Path, near: int | None) -> None:
        self.path, self.near = path, near
        self._base = sqlite3.connect(path, isolation_level=None)
        try:
            with self._told():
                self._base.execute(f"PRAGMA page_size = {_BYTES}")
                self._base.execute("PRAGMA journal_mode = WAL")
                self._base.execute("PRAGMA synchronous = NORMAL")
                self._base.execute(f"PRAGMA wal_autocheckpoint = {_LOG}")
                self._base.executescript(_TABLES)
        except BaseException:
            self._base.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._base.close()

    def begin(self, identity: Mapping[str, Any], where: Path) -> None:
        """Note what the set is built of and how; raises DataError where it was begun otherwise."""
        held = self._fact("identity")
        if held is None:
            with self._told():
                self._base.execute("INSERT INTO facts VALUES ('identity', ?)", (json.dumps(identity),))
            return
        begun: dict[str, Any] = json.loads(held)
        if differing := [key for key in begun | dict(identity) if begun.get(key) != identity.get(key)]:
            key = differing[0]
            raise DataError(
                f"{where} was begun with {key} {begun.get(key)!r}, asked for {identity.get(key)!r}; continue "
                "it as it was begun, or name another folder"
            )

    def list_parts(self, names: Iterable[str]) -> int:
        """Add the parts that are new, sorted among themselves, behind those there; return how many are there.

        Where nothing is new nothing is written. Memory: none that grows; sorting is done on disk.
        """
        with self._told():
            run = self._base.execute
            run("CREATE TEMP TABLE fresh (name TEXT PRIMARY KEY) WITHOUT ROWID")
            run("BEGIN")
            for name in names:
                if run("SELECT 1 FROM parts WHERE name = ?", (name,)).fetchone() is None:
                    run("INSERT OR IGNORE INTO fresh VALUES (?)", (name,))
            if run("SELECT 1 FROM fresh").fetchone() is not None:
                run("INSERT INTO parts (name) SELECT name FROM fresh ORDER BY name")
            run("COMMIT")
            run("DROP TABLE fresh")
            return run("SELECT coalesce(max(number), 0) FROM parts").fetchone()[0]

    def parts(self, since: int) -> Iterator[tuple[int, str]]:
        """Stream (number, name) of the parts from a number on."""
        while True:
            rows = self._base.execute(
                "SELECT number, name FROM parts WHERE number >= ? ORDER BY number LIMIT ?", (since, _PAGE)
            ).fetchall()
            if not rows:
                return
            yield from rows
            since = rows[-1][0] + 1

    def state(self) -> State:
        """Return how far the build is."""
        held = self._fact("state")
        return State() if held is None else State(**json.loads(held))

    def commit(self, state: State, look: tuple[int, int] | None = None) -> None:
        """Keep the state and, if given, (hash, number) of an example that was accepted: both or neither."""
        with self._told():
            self._base.execute("BEGIN")
            if look is not None and self.near is not None:
                value, number = look
                rows = [(key, value - _HALF, number) for key in keys(value, self.near)]
                self._base.executemany("INSERT OR IGNORE INTO looks VALUES (?, ?, ?)", rows)
            self._base.execute(
                "INSERT INTO facts VALUES ('state', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
                (json.dumps(asdict(state)),),
            )
            self._base.execute("COMMIT")

    def like(self, value: int) -> int | None:
        """Return the number of the first accepted example that looks the same, None where there is none."""
        if self.near is None:
            return None
        wanted = list(keys(value, self.near))
        marks = ", ".join("?" * len(wanted))
        found = self._base.execute(f"SELECT hash, number FROM looks WHERE key IN ({marks})", wanted)
        return min(
            (number for held, number in found if distance(held + _HALF, value) <= self.near), default=None
        )

    def _fact(self, name: str) -> str | None:
        row = self._base.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say what SQLite means: a full or unwritable disk, or a file that is something else."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise OSError(errno.EIO, f"cannot write the build's memory ({error})", str(self.path)) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{self.path} is not the memory of a build ({error}); name another folder, or remove this one"
            ) from error
