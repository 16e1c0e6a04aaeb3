"""Files are whole or absent."""

import os
import stat
from pathlib import Path

import pytest

from controlnet.errors import SettingError
from controlnet.files import whole


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "map.png"
    with whole(target) as part:
        part.write_text("x")
        assert part.suffix == ".png" and part.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "map.png"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(target) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_mode_is_that_of_a_usual_file(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    with whole(tmp_path / "ours") as part:
        part.write_text("x")
    modes = {stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("usual", "ours")}
    assert len(modes) == 1


def test_a_place_that_cannot_be_written_is_a_mistake_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="cannot write"), whole(tmp_path / "file" / "map.png"):
        pass


def test_a_writer_that_hides_its_file_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with whole(tmp_path / "weights") as part:
        part.unlink()
        part.touch(mode=0o600)
    assert (tmp_path / "weights").stat().st_mode == (tmp_path / "plain").stat().st_mode
