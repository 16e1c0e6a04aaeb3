"""Shards as a data set: the same as a folder of the same examples, for training and for the check."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.data import BadExample, FolderDataset, Loader, check_dataset, shards
from controlnet.data.build import Recipe, build, open_source


def built(folder: Path, layout: str, count: int = 10) -> Path:
    source = folder / "pictures"
    source.mkdir(exist_ok=True)
    for number in range(count):
        squares = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(squares).resize((72, 64), Image.Resampling.BICUBIC).save(source / f"{number}.png")
        (source / f"{number}.txt").write_text(f"picture {number}")
    recipe = Recipe(condition="canny", layout=layout, per_shard=4)
    list(build(open_source(str(source)), recipe, folder / layout))
    return folder / layout


def test_shards_give_the_samples_of_the_folder(tmp_path: Path) -> None:
    one, other = (
        FolderDataset(built(tmp_path, name), size=32, crop="random") for name in ("imagefolder", "webdataset")
    )
    assert len(one) == len(other) == 10 and one.condition == other.condition == "canny"
    assert one.size_of(3) == other.size_of(3) == (64, 72)
    for left, right in zip(Loader(one, 4).batches(), Loader(other, 4).batches(), strict=True):
        assert left.captions == right.captions
        assert torch.equal(left.pixels, right.pixels) and torch.equal(left.condition, right.condition)
        if left.indices[0] == 0:
            break


def test_the_check_of_shards_is_that_of_the_folder(tmp_path: Path) -> None:
    one, other = (check_dataset(built(tmp_path, name)) for name in ("imagefolder", "webdataset"))
    assert other.report.total == 10 and other.report.bad == 0
    assert (one.sizes, one.conditions, one.captions) == (other.sizes, other.conditions, other.captions)


def test_a_shard_cut_short_costs_what_is_behind_the_cut(tmp_path: Path) -> None:
    folder = built(tmp_path, "webdataset")
    path = folder / "shard-000001.tar"
    os.truncate(path, path.stat().st_size // 2)
    found = check_dataset(folder)
    assert found.report.skipped["damaged shard"] == 1 and "shard-000001.tar" in str(found.report)
    assert 6 <= found.report.total - found.report.bad < 9
    dataset = FolderDataset(folder, max_bad=0.5)
    assert len(dataset) == found.report.total - found.report.bad


def test_a_shard_that_goes_away_or_shrinks_while_it_is_read_is_a_bad_example(tmp_path: Path) -> None:
    folder = built(tmp_path, "webdataset")
    dataset = FolderDataset(folder, max_bad=1.0)
    rng = np.random.default_rng(0)
    dataset.example(0, rng)
    (folder / "shard-000000.tar").write_bytes(b"")
    with pytest.raises(BadExample):
        dataset.example(0, rng)
    (folder / "shard-000000.tar").unlink()
    with pytest.raises(BadExample):
        dataset.example(1, rng)


def test_members_read_like_files(tmp_path: Path) -> None:
    folder = built(tmp_path, "webdataset", 2)
    (shard,) = shards.shards(folder)
    record = next(shards.walk(shard))
    assert record.key == "00000000" and list(record.members) == ["png", "cond.png", "json"]
    member = shards.Member(shard, "00000000.png", record.members["png"])
    with member.open() as file:
        data = file.read()
        assert data == (tmp_path / "pictures" / "0.png").read_bytes() and file.read() == b""
        file.seek(-4, 2)
        assert file.read(100) == data[-4:]
    assert json.loads(shards.read(shard, record.members["json"]))["caption"] == "picture 0"
    assert next(shards.walk(shard, list(shards.walk(shard))[1].offset)).key == "00000001"
