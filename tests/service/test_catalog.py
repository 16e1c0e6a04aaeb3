"""What the operator names is what there is."""

import shutil

import pytest

from controlnet.checkpoints.shipped import FOLDER
from controlnet.errors import CheckpointError, SettingError, UnknownName
from controlnet.service import Catalog


def test_the_shipped_ones_have_names_titles_and_sizes():
    catalog = Catalog.of()
    assert [base.name for base in catalog.bases] == ["shapes"]
    canny = catalog.control("canny")
    assert canny.title == f"canny [{canny.hash}]" and len(canny.hash) == 8 and canny.bytes > 1_000_000
    with pytest.raises(UnknownName, match="canny"):
        catalog.control("cany")


def test_a_folder_of_controls_is_looked_through(tmp_path):
    shutil.copy(FOLDER / "canny.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "readme.txt").write_text("no weights")
    catalog = Catalog.of(controls=[str(tmp_path)])
    assert [net.name for net in catalog.controls] == ["canny", "openpose", "mine"]
    assert catalog.control("mine").hash == catalog.control("canny").hash


def test_two_of_one_name_and_what_is_not_there_are_refused(tmp_path):
    shutil.copy(FOLDER / "canny.safetensors", tmp_path / "canny.safetensors")
    with pytest.raises(SettingError, match="canny"):
        Catalog.of(controls=[str(tmp_path)])
    with pytest.raises(CheckpointError, match="nowhere"):
        Catalog.of(controls=["nowhere"])
    with pytest.raises(CheckpointError, match="no file"):
        Catalog.of(bases=["./nowhere/at all"])
