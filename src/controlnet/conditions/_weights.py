"""Weight files of the learned detectors: what they are called, where they lie, how they are fetched."""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from controlnet.errors import CheckpointError, MissingWeights
from controlnet.files import whole

FOLDER_VARIABLE = "CONTROLNET_WEIGHTS"
_FOLDER_FILES = ["*.json", "*.txt", "*.safetensors"]


def weights_folder() -> Path:
    """Return the folder of weight files that users bring: $CONTROLNET_WEIGHTS, else one in their cache."""
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given).expanduser() if given else Path.home() / ".cache" / "controlnet" / "annotators"


@dataclass(frozen=True)
class Weights:
    """One weight file of the hub (`file`), or a whole folder of it for a model of transformers (None).

    A file that is published elsewhere has the address of its folder, "https://…", for `repo`. sha256 may be
    the first digits of the checksum, where no more is known.
    """

    repo: str
    file: str | None
    megabytes: float
    licence: str
    sha256: str | None = None
    stand_in: str | None = field(default=None, compare=False)  # a file is the same whoever names it
    """The condition that makes a like map without any weights."""
    advice: str | None = field(default=None, compare=False)
    """What else to do without them, in words that can follow a semicolon."""

    @property
    def name(self) -> str:
        """The name of the file, or of the repository without its owner: what `find` looks for."""
        return Path(self.file or self.repo).name

    def find(self) -> Path:
        """Return the file (as it is, or converted to safetensors) or the folder, if it is on this machine.

        Looked for in `weights_folder()`, then in the hub's cache. Raises MissingWeights, which says how to
        get it.
        """
        own = weights_folder() / self.name
        for path in (own.with_suffix(".safetensors"), own) if self.file else (own,):
            if path.exists():
                return path
        cached = self._cached()
        if cached is None:
            raise MissingWeights(self._missing())
        return cached

    def fetch(self) -> Path:
        """Download into the hub's cache unless it is there, check the file's checksum, and return the path.

        Raises MissingWeights where the hub cannot be reached (HF_HUB_OFFLINE is respected), and
        CheckpointError for a file with another checksum, which is removed.
        """
        if self.elsewhere:
            return self._download()
        from huggingface_hub import hf_hub_download, snapshot_download
        from huggingface_hub.errors import HFValidationError

        try:
            if self.file is None:
                return Path(snapshot_download(self.repo, allow_patterns=_FOLDER_FILES))
            path = Path(hf_hub_download(self.repo, self.file))
        except (OSError, HFValidationError) as error:  # all that the hub's client raises derives from these
            raise MissingWeights(self._unreached(error)) from error
        self._check(path)
        return path

    @property
    def elsewhere(self) -> bool:
        """Whether the file is published elsewhere than on the hub."""
        return self.repo.startswith("https://")

    def _download(self) -> Path:
        """Bring a file that is not on the hub into `weights_folder()`."""
        import shutil
        import urllib.request

        from huggingface_hub.constants import HF_HUB_OFFLINE

        if HF_HUB_OFFLINE:
            raise MissingWeights(self._unreached(OSError("HF_HUB_OFFLINE is set")))
        target = weights_folder() / self.name
        address = f"{self.repo}/{self.file}"
        try:
            with whole(target) as part, urllib.request.urlopen(address, timeout=60) as answer:
                with part.open("wb") as out:
                    shutil.copyfileobj(answer, out)
                self._check(part)
        except OSError as error:
            raise MissingWeights(self._unreached(error)) from error
        return target

    def _cached(self) -> Path | None:
        if self.elsewhere:
            return None
        from huggingface_hub import snapshot_download, try_to_load_from_cache
        from huggingface_hub.errors import LocalEntryNotFoundError

        if self.file is not None:
            found = try_to_load_from_cache(self.repo, self.file)
            return Path(found) if isinstance(found, str) else None
        try:
            folder = Path(snapshot_download(self.repo, local_files_only=True))
        except (LocalEntryNotFoundError, FileNotFoundError):
            return None
        return folder if any(folder.glob("*.safetensors")) else None

    def _check(self, path: Path) -> None:
        if self.sha256 is None:
            return
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(self.sha256):
            blob = path.resolve()  # the cache's names are links
            path.unlink()
            blob.unlink(missing_ok=True)
            raise CheckpointError(
                f"{self.repo}/{self.file} came with the checksum {found}; wanted {self.sha256}; it was "
                "removed: fetch it again, or bring the file from a source that you trust"
            )

    def _told(self) -> str:
        return f"{self.name} ({self.megabytes:g} MB, licence: {self.licence})"

    def _missing(self) -> str:
        meanwhile = f"; meanwhile {self.stand_in} needs no weights" if self.stand_in else ""
        meanwhile += f"; {self.advice}" if self.advice else ""
        return (
            f"the weights {self._told()} are not here, neither in {weights_folder()} nor in the hub's cache; "
            f"fetch them: `controlnet weights fetch {self.name}`{meanwhile}"
        )

    def _unreached(self, error: Exception) -> str:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        source = f"{self.repo}/{self.file}" if self.file else self.repo
        place = source if self.elsewhere else f"the hub's {source}"
        return (
            f"cannot fetch {self._told()} from {place} ({reason}); fetch it where there is a "
            f"connection, and put it at {weights_folder() / self.name}"
        )
