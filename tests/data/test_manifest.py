import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.data import BadExample, Circles, DatasetWriter
from controlnet.data.manifest import METADATA, lines, parse
from controlnet.errors import DataError, ShapeError


def read(folder: Path):
    return [parse(folder, line, number) for number, _, line in lines(folder)]


def test_what_is_written_is_what_is_read(make):
    folder = make(3, condition="ring")
    examples = read(folder)
    assert [e.provenance["index"] for e in examples] == [0, 1, 2]
    assert examples[1].provenance == {"generator": "circles", "seed": 1, "index": 1, "condition": "ring"}
    image, conditioning, caption = Circles(1, 24)(1)
    assert examples[1].caption == caption
    assert examples[1].image.suffix == examples[1].conditioning.suffix == ".png"
    assert np.array_equal(np.asarray(Image.open(examples[1].image)), image)
    assert np.array_equal(np.asarray(Image.open(examples[1].conditioning)), conditioning)


def test_lines_are_those_of_imagefolder(make):
    folder = make(2)
    records = [json.loads(line) for line in (folder / METADATA).read_text().splitlines()]
    assert [list(r) for r in records] == [["file_name", "conditioning", "caption", "provenance"]] * 2
    assert all((folder / r[key]).is_file() for r in records for key in ("file_name", "conditioning"))


def test_imagefolder_itself_reads_it(make, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = make(3)
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(rows) == 3 and rows[2]["image"].size == (24, 24)
    assert rows[2]["caption"] == Circles(1, 24)(2)[2] and (folder / rows[2]["conditioning"]).is_file()


def test_a_line_is_written_only_after_both_pictures(tmp_path, monkeypatch):
    image, conditioning, caption = Circles(1, 24)(0)
    import controlnet.data.manifest as manifest

    def dies_at_the_second(path, array, written=[]):  # noqa: B006
        if written:
            raise KeyboardInterrupt
        written.append(path)

    monkeypatch.setattr(manifest, "write_png", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt), DatasetWriter(tmp_path) as writer:
        writer.add(image, conditioning, caption, {"index": 0})
    assert (tmp_path / METADATA).read_bytes() == b""


def test_a_picture_that_fails_leaves_no_half_of_it(tmp_path, monkeypatch):
    def fails(self, path, **_):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fails)
    with pytest.raises(OSError, match="disk full"), DatasetWriter(tmp_path) as writer:
        writer.add(*Circles(1, 24)(0), {"index": 0})
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [METADATA]


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_a_torn_last_line_is_mended(make, tmp_path, kept: int):
    """Cut after one byte, in the middle, and just before the newline: only the last is a whole line."""
    folder = make(3)
    whole = (folder / METADATA).read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    (folder / METADATA).write_bytes(whole[: start + kept] if kept > 0 else whole[:-1])
    with DatasetWriter(folder) as writer:
        provenance = {"generator": "circles", "seed": 1}
        assert writer.done(provenance) == ({0, 1, 2} if kept < 0 else {0, 1})
        writer.add(*Circles(1, 24)(2), {**provenance, "index": 2})
    assert (folder / METADATA).read_bytes() == whole


def test_pictures_that_were_lost_are_made_again_without_a_second_line(make):
    folder = make(3)
    before = (folder / METADATA).read_bytes()
    lost = read(folder)[1].conditioning
    bytes_before = lost.read_bytes()
    lost.unlink()
    with DatasetWriter(folder) as writer:
        assert writer.done({"generator": "circles", "seed": 1}) == {0, 2}
        writer.add(*Circles(1, 24)(1), {"generator": "circles", "seed": 1, "index": 1})
    assert (folder / METADATA).read_bytes() == before and lost.read_bytes() == bytes_before


def test_leftovers_of_a_kill_are_cleared(make):
    folder = make(1)
    part = folder / "images" / ".0123456789ab.part.png"
    part.write_bytes(b"half")
    DatasetWriter(folder).close()
    assert not part.exists()


def test_a_set_is_not_continued_as_another(make):
    folder = make(1)
    with DatasetWriter(folder) as writer:
        with pytest.raises(DataError, match=r"made with seed 1, asked for 2; .*another folder"):
            writer.done({"generator": "circles", "seed": 2})
        with pytest.raises(DataError, match="made with condition None, asked for 'canny'"):
            writer.done({"generator": "circles", "seed": 1, "condition": "canny"})


def test_one_writer_at_a_time(make):
    folder = make(1)
    with DatasetWriter(folder), pytest.raises(DataError, match="another process"):
        DatasetWriter(folder)
    DatasetWriter(folder).close()


def test_writer_refuses_pictures_that_do_not_go_together(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    with DatasetWriter(tmp_path) as writer:
        with pytest.raises(ShapeError, match="wanted one size"):
            writer.add(image, image[:4], "a", {})
        with pytest.raises(ShapeError, match="wanted uint8"):
            writer.add(image.astype(np.float32), image, "a", {})
    assert (tmp_path / METADATA).read_bytes() == b""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "bad JSON"),
        (b"\xff\xfe", "bad JSON"),
        (b"[]", "no file_name"),
        (b'{"caption": "a"}', "no file_name"),
        (b'{"file_name": "a.png"}', "missing caption"),
        (b'{"file_name": "a.png", "caption": "  "}', "missing caption"),
        (b'{"file_name": "a.png", "caption": 3}', "missing caption"),
        (b'{"file_name": "../a.png", "caption": "a"}', "path outside the folder"),
        (b'{"file_name": "/etc/a.png", "caption": "a"}', "path outside the folder"),
        (
            b'{"file_name": "a.png", "caption": "a", "conditioning": "x/../../b.png"}',
            "path outside the folder",
        ),
    ],
)
def test_lines_that_cannot_be_meant_are_bad_for_a_reason(line: bytes, reason: str):
    with pytest.raises(BadExample) as caught:
        parse(Path("folder"), line, 7)
    assert (caught.value.reason, caught.value.where) == (reason, "line 7")


def test_a_folder_without_manifest_is_refused_with_the_mend(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(DataError, match=r"wanted a folder with metadata.jsonl.*controlnet dataset"):
            list(lines(folder))
