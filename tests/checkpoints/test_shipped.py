"""Shipped ControlNets by name, and files by path."""

from pathlib import Path

import pytest

from controlnet.checkpoints import shipped
from controlnet.errors import CheckpointError


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped ControlNets, and another folder to be in."""
    (tmp_path / "shipped").mkdir()
    for name in ("canny.safetensors", "depth.safetensors", "README.md"):
        (tmp_path / "shipped" / name).touch()
    (tmp_path / "here").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "shipped"


def test_names() -> None:
    assert shipped.shipped() == ("canny", "depth")


def test_a_name_leads_to_its_file(weights: Path) -> None:
    assert shipped.locate("canny") == weights / "canny.safetensors"


def test_a_bare_name_wins_over_a_file_and_a_path_does_not(weights: Path) -> None:
    Path("canny").mkdir()
    assert shipped.locate("canny") == weights / "canny.safetensors"
    assert shipped.locate("./canny") == Path("canny")
    assert shipped.locate(Path("canny")) == Path("canny")


def test_what_is_nowhere_is_answered_with_near_names() -> None:
    with pytest.raises(CheckpointError, match="did you mean canny"):
        shipped.locate("cany")
    with pytest.raises(CheckpointError, match="no file or folder"):
        shipped.locate("folder/none.safetensors")
