"""Files that are whole or absent: written beside their place, then moved there in one step."""

import errno
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from controlnet.errors import SettingError

UNWRITABLE: Final = frozenset(
    getattr(errno, name)
    for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "EIO", "ENOTDIR", "EEXIST")
    if hasattr(errno, name)
)
"""Numbers of the errors by which a system says that a disk is full, or that one may not write there."""


@contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path of the same suffix; on success it becomes `path`, on any error it vanishes.

    Missing parent folders are made, and an existing file is replaced only once the new one is complete.
    Raises SettingError where the folder cannot be written to.
    """
    path = Path(path)
    part = path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch(exist_ok=False)
        mode = part.stat().st_mode
    except OSError as error:
        mend = "choose a folder that can be written to"
        raise SettingError(f"cannot write {path} ({error.strerror}); {mend}") from error
    try:
        yield part
        part.chmod(mode)  # some writers make files of their own that nobody else may read
        part.replace(path)
    except OSError as error:
        if error.errno and error.filename is None:  # a write that fails does not say where
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


def remove_parts(folder: str | Path, age: float = 0.0) -> None:
    """Remove what processes that were killed within `whole` have left in a folder, if so many seconds old.

    Only with an age where others may be writing.
    """
    for part in Path(folder).glob(".????????????.part*"):
        with suppress(FileNotFoundError):
            if time.time() - part.stat().st_mtime >= age:
                part.unlink()
