import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.data import BadExample, Circles, Dataset, DatasetWriter, FolderDataset, InMemory, hold_out
from controlnet.data.manifest import METADATA
from controlnet.errors import DataError, SettingError, ShapeError


def spoil(folder: Path) -> dict[str, int]:
    """Make examples 0 … 6 bad, each in its way; returns the reasons."""
    images, maps = sorted((folder / "images").iterdir()), sorted((folder / "conditioning").iterdir())
    rows = (folder / METADATA).read_text().splitlines()
    images[0].write_bytes(b"no picture")
    maps[1].unlink()
    Image.new("RGB", (8, 8)).save(maps[2])
    rows[3] = json.dumps({**json.loads(rows[3]), "caption": ""})
    rows[4] = rows[4][:-5]
    record = json.loads(rows[5])
    del record["conditioning"]
    rows[5] = json.dumps(record)
    images[6].write_bytes(b"")
    (folder / METADATA).write_text("\n".join(rows) + "\n")
    return {
        "unreadable picture": 2,
        "missing file": 1,
        "sizes differ": 1,
        "missing caption": 1,
        "bad JSON": 1,
        "no conditioning": 1,
    }


def cut_short(path: Path) -> None:
    """Spoil a picture in such a way that its header does not show it."""
    path.write_bytes(path.read_bytes()[:-40])


def test_example_is_what_was_written(make, rng):
    dataset = FolderDataset(make(3))
    assert isinstance(dataset, Dataset) and len(dataset) == 3
    image, conditioning, caption = Circles(1, 24)(2)
    sample = dataset.example(2, rng)
    assert torch.equal(sample.pixels, torch.from_numpy(image).permute(2, 0, 1) / 255 * 2 - 1)
    assert torch.equal(sample.condition, torch.from_numpy(conditioning).permute(2, 0, 1) / 255)
    assert sample.caption == caption == dataset[2].caption
    assert [e.provenance["index"] for e in dataset] == [0, 1, 2]


def test_bad_examples_are_skipped_and_counted_by_reason(make, caplog):
    folder = make(20)
    reasons = spoil(folder)
    with caplog.at_level(logging.WARNING, "controlnet"):
        dataset = FolderDataset(folder, max_bad=0.5)
    assert dict(dataset.report.skipped) == reasons
    assert (dataset.report.bad, dataset.report.total, len(dataset)) == (7, 20, 13)
    assert [e.provenance["index"] for e in dataset] == list(range(7, 20))
    assert "7 of 20" in caplog.text and "conditioning/00000001.png" in caplog.text


def test_too_many_bad_examples_are_refused_with_counts_and_mend(make):
    folder = make(20)
    spoil(folder)
    with pytest.raises(DataError, match=r"7 of 20 .*2 unreadable picture.*at most 5% .*mend"):
        FolderDataset(folder)


def test_the_share_that_is_allowed_is_allowed(make):
    folder = make(20)
    next((folder / "images").iterdir()).unlink()
    assert len(FolderDataset(folder)) == 19
    with pytest.raises(DataError, match="1 of 20"):
        FolderDataset(folder, max_bad=0.04)


def test_a_set_without_any_example_is_refused(make):
    with pytest.raises(DataError, match="lists no example"):
        FolderDataset(make(0))
    folder = make(2, "gone")
    shutil.rmtree(folder / "images")
    with pytest.raises(DataError, match="all 2 examples are bad"):
        FolderDataset(folder, max_bad=1.0)


def test_what_only_decoding_shows_is_counted_once_when_it_shows(make, rng, caplog):
    folder = make(40)
    cut_short(FolderDataset(folder)[7].image)
    dataset = FolderDataset(folder)
    assert len(dataset) == 40 and dataset.report.bad == 0
    for _ in range(2):
        with pytest.raises(BadExample, match="unreadable picture"):
            dataset.example(7, rng)
    assert dataset.report.bad == 1 and "images/00000007.png" in caplog.text
    cut_short(dataset[8].conditioning)
    cut_short(dataset[9].conditioning)
    with pytest.raises(BadExample):
        dataset.example(8, rng)
    with pytest.raises(DataError, match="3 of 40"):
        dataset.example(9, rng)


def test_opening_without_verification_finds_the_same_when_reading(make, rng):
    folder = make(20)
    spoil(folder)
    dataset = FolderDataset(folder, verify=False, max_bad=0.5)
    bad = 0
    for index in range(len(dataset)):
        try:
            dataset.example(index, rng)
        except BadExample:
            bad += 1
    assert dataset.report.bad == 7 and bad == 5  # two were found by their lines


def test_conditions_can_be_computed_from_the_picture_as_it_is_trained_on(tmp_path, rng):
    with DatasetWriter(tmp_path) as writer:
        image, _, caption = Circles(1, 24)(0)
        writer.add(image, None, caption, {})
    with pytest.raises(DataError, match="no conditioning"):
        FolderDataset(tmp_path)
    dataset = FolderDataset(tmp_path, size=16, crop="random", flip=True, annotator=lambda array: 255 - array)
    sample = dataset.example(0, rng)
    assert sample.condition.shape == (3, 16, 16)
    assert torch.allclose(sample.condition, 1 - (sample.pixels + 1) / 2, atol=1e-6)
    assert dataset.condition is None


def test_an_annotator_goes_before_stored_maps_even_missing_ones(make, rng):
    folder = make(3)
    shutil.rmtree(folder / "conditioning")
    dataset = FolderDataset(folder, annotator=np.zeros_like)
    assert len(dataset) == 3 and not dataset.example(0, rng).condition.any()


def test_an_annotator_of_another_size_is_refused(make, rng):
    with pytest.raises(ShapeError, match="same size"):
        FolderDataset(make(1), annotator=lambda array: array[:4]).example(0, rng)


@pytest.mark.parametrize(
    ("recorded", "asked", "hard"),
    [(True, None, True), (False, None, False), (True, False, False), (False, True, True)],
)
def test_maps_of_labels_stay_labels(make, rng, recorded, asked, hard):
    dataset = FolderDataset(make(1, label_map=recorded), size=16, label_map=asked)
    assert (set(dataset.example(0, rng).condition.unique().tolist()) <= {0.0, 1.0}) is hard


def test_the_spec_of_the_stored_maps_is_known(make):
    assert FolderDataset(make(1, "a", condition="canny(low=50)")).condition == "canny(low=50)"
    assert FolderDataset(make(1, "b")).condition is None


def test_photos_are_turned_upright_and_deep_maps_keep_their_range(tmp_path, rng):
    """A camera's JPEG that is to be turned by 90°, with a 16-bit map of the upright size."""
    picture = Image.new("RGB", (16, 8), "red")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    Image.fromarray(np.full((16, 8), 256 * 128, np.uint16)).save(tmp_path / "m.png")
    (tmp_path / METADATA).write_text('{"file_name": "a.jpg", "conditioning": "m.png", "caption": "a"}\n')
    sample = FolderDataset(tmp_path).example(0, rng)
    assert sample.pixels.shape == (3, 16, 8)
    assert sample.condition.unique().tolist() == pytest.approx([128 / 255])


def test_in_memory_gives_the_same_samples_as_a_folder(make, rng):
    items = [Circles(1, 24)(index) for index in range(3)]
    dataset, folder = (
        InMemory(items, size=16, label_map=True),
        FolderDataset(make(3), size=16, label_map=True),
    )
    assert isinstance(dataset, Dataset) and len(dataset) == 3
    for index in range(3):
        ours, theirs = dataset.example(index, rng), folder.example(index, rng)
        assert torch.equal(ours.pixels, theirs.pixels) and torch.equal(ours.condition, theirs.condition)
        assert ours.caption == theirs.caption


def test_in_memory_refuses_what_does_not_go_together(rng):
    image = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ShapeError, match="same size"):
        InMemory([(image, image[:4], "a")]).example(0, rng)
    with pytest.raises(DataError, match="annotator"):
        InMemory([(image, None, "a")]).example(0, rng)
    assert InMemory([(image, image[..., 0], "a")]).example(0, rng).condition.shape == (3, 8, 8)


def test_held_out_examples_are_the_last_and_no_others(make, rng):
    dataset = FolderDataset(make(5))
    train, held = hold_out(dataset, 2)
    assert (len(train), len(held)) == (3, 2)
    captions = [part.example(i, rng).caption for part in (train, held) for i in range(len(part))]
    assert captions == [example.caption for example in dataset]
    for count in (0, 5):
        with pytest.raises(SettingError, match="wanted 1 … 4"):
            hold_out(dataset, count)
