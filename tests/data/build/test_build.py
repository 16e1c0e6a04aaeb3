"""Builds of folders of pictures: what is made, and what is left out."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.conditions import annotate
from controlnet.data import FolderDataset, check_dataset
from controlnet.data.build import Recipe
from controlnet.data.pictures import read_rgb
from controlnet.errors import DataError, SettingError
from tests.data.build.conftest import blocks, records, refused, run


def test_triples_with_their_provenance_are_what_the_picture_and_the_drawn_condition_give(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(5)
    found = run(source, recipe, tmp_path / "set")
    assert (found.seen, found.accepted, found.total, found.refused) == (5, 5, 5, {})
    made = records(tmp_path / "set")
    assert [r["provenance"]["source"] for r in made] == [
        "0/000.png",
        "0/002.png",
        "0/004.png",
        "1/001.png",
        "1/003.png",
    ]
    assert [r["caption"] for r in made][:2] == ["squares number 0", "squares number 2"]
    assert len({r["provenance"]["condition"] for r in made}) == 5
    for record in made:
        told = record["provenance"]
        given = source / told["source"]
        stored = tmp_path / "set" / record["file_name"]
        assert stored.read_bytes() == given.read_bytes()
        conditioning = read_rgb(tmp_path / "set" / record["conditioning"])
        assert np.array_equal(conditioning, annotate(told["condition"], read_rgb(stored)))
        assert told["drawn_from"] == recipe.condition and told["caption_from"] == "file"
        assert told["label_map"] is True and told["versions"].keys() == {"controlnet", "opencv", "pillow"}
    assert check_dataset(tmp_path / "set").report.bad == 0
    assert json.loads((tmp_path / "set" / "build.json").read_text())["accepted"] == 5


def test_the_settings_follow_the_content_whatever_the_name_and_the_neighbours(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(4)
    run(source, recipe, tmp_path / "a")
    (source / "0" / "000.png").rename(source / "1" / "zzz.png")
    (source / "0" / "000.txt").rename(source / "1" / "zzz.txt")
    run(source, recipe, tmp_path / "b")
    drawn = [
        {r["provenance"]["sha256"]: r["provenance"]["condition"] for r in records(tmp_path / name)}
        for name in "ab"
    ]
    assert drawn[0] == drawn[1] and len(drawn[0]) == 4


def test_what_is_left_out_is_counted_and_listed_by_reason(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(3)
    save = {
        "small": blocks(10, 40, 200),
        "narrow": blocks(11, 600, 64),
        "blank": np.full((80, 80, 3), 77, np.uint8),
        "same": np.asarray(Image.fromarray(blocks(0)).resize((128, 128), Image.Resampling.BICUBIC)),
        "wordless": blocks(12),
    }
    for name, array in save.items():
        Image.fromarray(array).save(source / f"{name}.png")
        if name != "wordless":
            (source / f"{name}.caption").write_text(name)
    Image.fromarray(blocks(1)).save(source / "retouched.jpg", quality=60)
    (source / "retouched.txt").write_text("the same, compressed")
    (source / "torn.png").write_bytes((source / "0" / "000.png").read_bytes()[:-60])
    (source / "text.jpg").write_text("no picture")
    (source / "binary.txt").write_bytes(b"\xff\xfe\xfa")
    Image.fromarray(blocks(13)).save(source / "binary.png")
    (source / ".hidden.png").write_bytes(b"not looked at")
    found = run(source, recipe, tmp_path / "set")
    assert found.refused == {
        "too small": 1,
        "aspect": 1,
        "blank": 1,
        "missing caption": 1,
        "near-duplicate": 2,
        "unreadable picture": 2,
        "unreadable caption": 1,
    }
    assert found.seen == found.total == 12 and found.accepted == 3
    listed = {line["file"]: line["reason"] for line in refused(tmp_path / "set")}
    assert listed["small.png"] == "too small" and listed["torn.png"] == "unreadable picture"
    assert {line["file"]: line["of"] for line in refused(tmp_path / "set") if "of" in line} == {
        "retouched.jpg": "00000002",
        "same.png": "00000000",
    }
    summary = json.loads((tmp_path / "set" / "build.json").read_text())
    assert summary["refused"] == dict(sorted(found.refused.items()))


def test_limits_can_be_lifted(pictures: Callable[..., Path], tmp_path: Path) -> None:
    source = pictures(2)
    Image.fromarray(blocks(0)).save(source / "copy.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(source / "dark.png")
    lifted = Recipe(condition="canny", near=None, blank=0, least_side=1, missing_caption="empty")
    found = run(source, lifted, tmp_path / "set")
    assert found.accepted == 4 and not found.refused
    assert [r["caption"] for r in records(tmp_path / "set")][2:] == ["", ""]
    dataset = FolderDataset(tmp_path / "set")
    assert [example.caption for example in dataset][2:] == ["", ""]


def test_pictures_are_shrunk_and_stored_as_asked_and_maps_belong_to_what_is_stored(
    pictures: Callable[..., Path], tmp_path: Path
) -> None:
    source = pictures(2)
    for store, suffix in (("keep", ".png"), ("png", ".png"), ("jpg", ".jpg")):
        out = tmp_path / store
        run(source, Recipe(condition="canny", store=store, short_side=48, least_side=48), out)
        for record in records(out):
            assert record["file_name"].endswith(suffix)
            stored = read_rgb(out / record["file_name"])
            assert stored.shape == (48, 48, 3)
            assert np.array_equal(read_rgb(out / record["conditioning"]), annotate("canny", stored))


def test_turned_and_transparent_pictures_are_stored_as_they_are_seen(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(blocks(0, 64, 96)).save(source / "a.jpg", exif=exif)
    Image.fromarray(np.dstack([blocks(1), blocks(2)[..., 0]])).save(source / "b.png")
    Image.fromarray(blocks(3)).save(source / "c.jpg")
    run(source, Recipe(condition="invert", missing_caption="empty"), tmp_path / "set")
    kinds = [(Path(r["file_name"]).suffix, r["provenance"]["source"]) for r in records(tmp_path / "set")]
    assert kinds == [(".png", "a.jpg"), (".png", "b.png"), (".jpg", "c.jpg")]
    assert read_rgb(tmp_path / "set" / records(tmp_path / "set")[0]["file_name"]).shape == (96, 64, 3)


def test_a_captioner_serves_only_where_no_caption_is(
    pictures: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from controlnet.captioners._base import Captioner

    class Sizes(Captioner):
        title, paper, licence = "sizes", "none", "none"

        def caption(self, image):
            return f"{image.shape[1]} pixels wide"

        def ready(self):
            pass

    monkeypatch.setattr("controlnet.registry.get", _with(Sizes()))
    source = pictures(2)
    (source / "0" / "000.txt").unlink()
    (source / "1" / "001.txt").write_text(" \n")
    Image.fromarray(blocks(7)).save(source / "z.png")
    (source / "z.txt").write_text("a file wins")
    run(source, Recipe(condition="canny", captioner="sizes"), tmp_path / "set")
    told = [(r["caption"], r["provenance"]["caption_from"]) for r in records(tmp_path / "set")]
    assert told[:2] == [("64 pixels wide", told[0][1])] * 2 and told[2] == ("a file wins", "file")
    assert "Sizes" in told[0][1]


def _with(captioner):
    from controlnet import registry

    get = registry.get
    return lambda family, spec: captioner if family == "captioners" else get(family, spec)


def test_places_that_cannot_be_are_refused(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(2)
    with pytest.raises(SettingError, match="among its own pictures"):
        run(source, recipe, source / "set")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "metadata.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="not built by this command"):
        run(source, recipe, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no picture"):
        run(tmp_path / "empty", recipe, tmp_path / "set")
    with pytest.raises(DataError, match="no such folder"):
        run(tmp_path / "none", recipe, tmp_path / "set")
    assert not (tmp_path / "set").exists()
