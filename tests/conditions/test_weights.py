"""Where weight files are looked for, and what is said when they are not there."""

import hashlib
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from controlnet.conditions._weights import Weights, weights_folder
from controlnet.errors import CheckpointError, MissingWeights

FILE = Weights("owner/Annotators", "sub/Net.pth", 29.4, "Apache-2.0", stand_in="canny")
FOLDER = Weights("owner/depth-small", None, 99, "MIT")
CONTENT = b"weights"


@pytest.fixture(autouse=True)
def nothing_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point to an empty folder and an empty cache of the hub; return the folder."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path / "own"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (tmp_path / "own").mkdir()
    return tmp_path / "own"


def cache(root: Path, repo: str, file: str) -> Path:
    """Lay a file into a cache as the hub's client does: a blob, and a link to it."""
    folder = root / f"models--{repo.replace('/', '--')}"
    blob, link = folder / "blobs" / "b", folder / "snapshots" / "c0ffee" / file
    for path in (blob, link, folder / "refs" / "main"):
        path.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(CONTENT)
    link.symlink_to(blob)
    (folder / "refs" / "main").write_text("c0ffee")
    return link


def test_the_folder_is_the_users_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights_folder() == tmp_path / "own"
    monkeypatch.delenv("CONTROLNET_WEIGHTS")
    assert weights_folder() == Path.home() / ".cache" / "controlnet" / "annotators"


def test_names() -> None:
    assert (FILE.name, FOLDER.name) == ("Net.pth", "depth-small")


def test_own_files_come_before_the_cache_and_conversions_first(nothing_is_here: Path, tmp_path: Path) -> None:
    cached = cache(tmp_path / "hub", FILE.repo, "sub/Net.pth")
    assert FILE.find() == cached
    (nothing_is_here / "Net.pth").touch()
    assert FILE.find() == nothing_is_here / "Net.pth"
    (nothing_is_here / "Net.safetensors").touch()
    assert FILE.find() == nothing_is_here / "Net.safetensors"


def test_a_folder_is_found_in_both_places(nothing_is_here: Path, tmp_path: Path) -> None:
    cached = cache(tmp_path / "hub", FOLDER.repo, "model.safetensors")
    assert FOLDER.find() == cached.parent
    (nothing_is_here / "depth-small").mkdir()
    assert FOLDER.find() == nothing_is_here / "depth-small"


def test_a_cached_folder_without_weights_is_none(tmp_path: Path) -> None:
    cache(tmp_path / "hub", FOLDER.repo, "config.json")
    with pytest.raises(MissingWeights):
        FOLDER.find()


def test_what_is_missing_is_told_with_all_that_helps(nothing_is_here: Path) -> None:
    with pytest.raises(MissingWeights) as error:
        FILE.find()
    said = str(error.value)
    for part in (
        "Net.pth",
        "29.4 MB",
        "Apache-2.0",
        "controlnet weights fetch Net.pth",
        "canny",
        str(nothing_is_here),
    ):
        assert part in said
    with pytest.raises(MissingWeights) as error:
        FOLDER.find()
    assert "meanwhile" not in str(error.value)


def test_fetching_without_a_connection(nothing_is_here: Path) -> None:
    for weights in (FILE, FOLDER):
        with pytest.raises(MissingWeights, match=f"cannot fetch {weights.name}") as error:
            weights.fetch()
        assert str(nothing_is_here / weights.name) in str(error.value) and "\n" not in str(error.value)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[Any, ...]]:
    """Stand in for the hub's downloads; return what it is asked for."""
    asked: list[tuple[Any, ...]] = []

    def download(repo: str, file: str) -> str:
        asked.append((repo, file))
        return str(cache(tmp_path / "hub", repo, file))

    def snapshot(repo: str, allow_patterns: list[str]) -> str:
        asked.append((repo, *allow_patterns))
        return str(cache(tmp_path / "hub", repo, "model.safetensors").parent)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return asked


def test_a_fetched_file_is_found_afterwards(hub: list[tuple[Any, ...]]) -> None:
    path = Weights(FILE.repo, FILE.file, 1, "MIT", hashlib.sha256(CONTENT).hexdigest()).fetch()
    assert path.read_bytes() == CONTENT and FILE.find() == path
    assert hub == [(FILE.repo, FILE.file)]


def test_of_a_folder_only_safetensors_and_texts_are_fetched(hub: list[tuple[Any, ...]]) -> None:
    assert (FOLDER.fetch() / "model.safetensors").exists()
    assert set(hub[0][1:]) == {"*.json", "*.txt", "*.safetensors"}


@pytest.mark.usefixtures("hub")
def test_a_wrong_checksum_removes_the_file() -> None:
    with pytest.raises(CheckpointError, match="checksum"):
        Weights(FILE.repo, FILE.file, 1, "MIT", "0" * 64).fetch()
    with pytest.raises(MissingWeights):
        FILE.find()


@pytest.mark.parametrize("error", [OSError("no route\nmore"), LocalEntryNotFoundError("offline"), ValueError])
def test_whatever_the_hub_raises(error: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    wanted: type[Exception] = MissingWeights if isinstance(error, OSError) else ValueError
    with pytest.raises(wanted):
        FILE.fetch()
