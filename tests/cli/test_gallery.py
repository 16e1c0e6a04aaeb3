"""`controlnet gallery`: every condition on a page and a sheet, with what is lacking told."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.cli import gallery as command
from controlnet.cli._gallery import page, subjects
from controlnet.cli._gallery.maps import show_all
from controlnet.cli._gallery.subjects import Group, Groups, Subject
from controlnet.cli.app import main
from controlnet.conditions import conditions
from controlnet.conditions._image import Pixels
from controlnet.errors import UnknownName


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide whatever weights this machine has."""
    monkeypatch.setenv("CONTROLNET_WEIGHTS", str(tmp_path / "none"))


@pytest.fixture
def small() -> Groups:
    """One small picture for every purpose."""
    groups = [Group(title, (Subject("noise", np.zeros((32, 32, 3), np.uint8)),)) for title in "abc"]
    return Groups(*groups)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "my photo.png")
    return tmp_path / "my photo.png"


def test_the_page_and_the_sheet_show_every_condition_asked_for(
    photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    chosen = ["canny", "canny(low=20, high=60)", "shapes_depth", "seg_ufade20k"]
    options = [word for spec in chosen for word in ("--condition", spec)]
    assert main(["gallery", str(photo), "--out", str(out), *options, "--scenes", "1", "--side", "64"]) == 0
    assert "3 of 4 conditions on 2 pictures" in capsys.readouterr().out

    html = (out / "index.html").read_text()
    for words in ("canny(low=20, high=60)", "shapes_depth", "segmentation_upernet", "Apache-2.0", "206 MB"):
        assert words in html
    assert "controlnet weights fetch upernet_global_small.pth" in html
    assert len(re.findall(r"<img ", html)) == 3 + 2  # maps of three, photographs, scenes
    assert not re.findall(r'(?:src|href)="(?!data:)', html)  # nothing is fetched

    with Image.open(out / "sheet.png") as sheet:
        assert sheet.mode == "P" and "controlnet gallery" in sheet.info["command"]
        assert sheet.width > 2 * 64 and sheet.height > 5 * 64


def test_nothing_is_left_out_silently(small: Groups) -> None:
    """Each has maps or a reason."""
    told: list[int] = []
    names = ["canny", "shapes_openpose", "segmentation_upernet"]
    assert set(names) <= set(conditions())
    found = show_all(names, small, told.append)
    assert {type(one.detector).name() for one in found} == set(names) and sum(told) == len(names)
    for one in found:
        assert bool(one.maps) + bool(one.absent) + bool(one.failed) == 1


def test_families_stay_together(small: Groups) -> None:
    found = show_all(["shapes_depth", "seg_ofcoco", "canny", "shapes_normal", "seg_ufade20k"], small, id)
    families = [one.detector.family for one in found]
    assert families == ["edges", *["segmentation"] * 2, *["embedded world"] * 2]


def test_conditions_are_shown_on_what_they_are_meant_for(photo: Path) -> None:
    groups = subjects.gather([photo], 1)
    canny, normal, depth = show_all(["canny", "normal_from_depth", "shapes_depth"], groups, id)
    assert [canny.group, normal.group, depth.group] == [groups.pictures, groups.depths, groups.scenes]
    assert [subject.name for subject in groups.pictures.subjects] == [
        "my photo",
        groups.scenes.subjects[0].name,
    ]
    assert len(groups.scenes.subjects) == len(groups.depths.subjects) == 2
    assert depth.maps[0].shape == (128, 128, 3)
    seen, true = depth.maps[0].astype(float), groups.depths.subjects[0].pixels
    assert np.abs(seen - true).mean() < 12  # of the same scene


def test_a_sheet_of_many_conditions_has_columns(small: Groups) -> None:
    few, many = ([f"canny(low={low})" for low in range(1, count + 1)] for count in (3, 17))
    sheets = [page.draw_sheet(show_all(specs, small, id), 400) for specs in (few, many)]
    assert sheets[1].width == 3 * sheets[0].width and sheets[1].height < 3 * sheets[0].height


def test_an_unknown_condition_is_refused(small: Groups, photo: Path, tmp_path: Path) -> None:
    assert main(["gallery", str(photo), "--out", str(tmp_path / "out"), "--condition", "cany"]) == 2
    assert not (tmp_path / "out").exists()
    with pytest.raises(UnknownName, match="canny"):
        show_all(["cany"], small, id)


def test_without_photographs_scenes_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subjects, "find_spec", lambda name: None)
    call = ["gallery", "--out", str(tmp_path / "out"), "--condition", "canny"]
    assert main([*call, "--scenes", "1"]) == 0
    said = capsys.readouterr()
    assert "1 of 1 conditions on 1 pictures" in said.out and "scikit-image" in said.err
    assert main([*call, "--scenes", "0"]) == 2


def test_the_photographs_of_scikit_image_are_found() -> None:
    found = subjects.bundled()
    assert [path.name for path in found] == list(subjects.BUNDLED)
    [astronaut, *_] = subjects.photographs(found[:1])
    assert astronaut.name == "astronaut" and astronaut.pixels.shape == (512, 512, 3)


def test_scenes_show_much_and_are_always_the_same() -> None:
    first, second = subjects.scenes_of_note(2), subjects.scenes_of_note(2)
    assert list(first) == list(second)
    assert all(np.array_equal(first[index].image, second[index].image) for index in first)
    assert [view.scene.figure is not None for view in first.values()] == [True, False]


def test_large_photographs_are_made_smaller_and_thumbnails_square(tmp_path: Path) -> None:
    Image.new("RGB", (2000, 1600), "red").save(tmp_path / "large.png")
    [large] = subjects.photographs([tmp_path / "large.png"])
    assert large.pixels.shape == (768, 960, 3)
    wide: Pixels = np.zeros((3, 9, 3), np.uint8)
    wide[:, 3:6] = 255
    assert subjects.square(wide).shape == (3, 3, 3) and subjects.square(wide).min() == 255


def test_its_help_has_examples() -> None:
    assert "controlnet gallery" in command.EXAMPLES
