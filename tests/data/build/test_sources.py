"""Whatever the source, the same pictures give the same examples; what is broken in it is told."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from controlnet.data.build import Recipe, build, open_source
from controlnet.errors import DataError, SettingError


def run(source: Path, recipe: Recipe, out: Path, **how: str):
    return list(build(open_source(str(source), **how), recipe, out))[-1]


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def substance(folder: Path) -> set[tuple[str, str, str, bytes]]:
    """Of each example all but its name in the source and who captioned it."""
    return {
        (
            r["caption"],
            r["provenance"]["sha256"],
            r["provenance"]["condition"],
            (folder / r["conditioning"]).read_bytes(),
        )
        for r in records(folder)
    }


def shard(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def others(folder: Path, source: Path) -> Path:
    """Shards as others write them: two, folders in the names, captions as text or in JSON."""
    folder.mkdir()
    found = sorted(source.rglob("*.png"))
    for number, part in enumerate((found[:3], found[3:])):
        members: dict[str, bytes] = {}
        for path in part:
            key = f"some/where/{path.stem}"
            members[f"{key}.png"] = path.read_bytes()
            text = path.with_suffix(".txt").read_text()
            if number:
                members[f"{key}.json"] = json.dumps({"text": text}).encode()
            else:
                members[f"{key}.txt"] = text.encode()
        shard(folder / f"{number:03d}.tar", members)
    return folder


@pytest.fixture
def made(pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path) -> Path:
    run(pictures(7), recipe, tmp_path / "made")
    return tmp_path / "made"


def test_our_own_sets_and_shards_are_sources(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    again = run(made, recipe, tmp_path / "again")
    assert again.accepted == 7 and substance(tmp_path / "again") == substance(made)
    assert {r["provenance"]["caption_from"] for r in records(tmp_path / "again")} == {"column"}
    run(made, recipe.model_copy(update={"layout": "webdataset"}), tmp_path / "shards")
    assert len(list((tmp_path / "shards").glob("*.tar"))) == 2
    run(tmp_path / "shards", recipe, tmp_path / "back")
    assert substance(tmp_path / "back") == substance(made)


def test_shards_of_others(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    folder = others(tmp_path / "shards", tmp_path / "pictures")
    assert run(folder, recipe, tmp_path / "set", caption="text").accepted == 7
    assert substance(tmp_path / "set") == substance(made)
    assert records(tmp_path / "set")[0]["provenance"]["source"] == "000.tar/some/where/000"


@pytest.mark.parametrize("harm", ["cut", "overwritten"])
def test_a_damaged_shard_gives_what_is_whole_in_it_and_the_others(
    made: Path, recipe: Recipe, tmp_path: Path, harm: str
) -> None:
    folder = others(tmp_path / "shards", tmp_path / "pictures")
    data = bytearray((folder / "000.tar").read_bytes())
    with tarfile.open(folder / "000.tar") as tar:
        third = tar.getmembers()[4]
    if harm == "cut":
        data = data[: third.offset_data + 10]
    else:
        data[third.offset : third.offset + 512] = b"\xff" * 512
    (folder / "000.tar").write_bytes(data)
    found = run(folder, recipe, tmp_path / "set", caption="text")
    # of a record that a broken header follows nobody knows whether it is whole
    whole = {"cut": 2, "overwritten": 1}[harm]
    assert found.refused == {"damaged shard": 1} and found.accepted == whole + 4
    told = json.loads((tmp_path / "set" / "refused.jsonl").read_text())
    assert told["file"].startswith("000.tar after some/where/")
    assert run(folder, recipe, tmp_path / "set", caption="text").refused == {"damaged shard": 1}


def test_a_caption_file_wins_over_a_column(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    first = records(made)[0]
    (made / first["file_name"]).with_suffix(".txt").write_text("from the file")
    run(made, recipe, tmp_path / "set")
    told = records(tmp_path / "set")
    assert (told[0]["caption"], told[0]["provenance"]["caption_from"]) == ("from the file", "file")
    assert told[1]["caption"] == records(made)[1]["caption"]


def test_broken_lines_of_a_manifest_are_left_out(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    rows = (made / "metadata.jsonl").read_text().splitlines()
    rows[1] = rows[1][:-4]
    rows[2] = json.dumps({**json.loads(rows[2]), "file_name": "../../secret.png"})
    rows[3] = json.dumps({**json.loads(rows[3]), "file_name": "images/gone.png"})
    (made / "metadata.jsonl").write_text("\n".join(rows) + "\n")
    found = run(made, recipe, tmp_path / "set")
    assert found.accepted == 4
    assert found.refused == {"bad JSON": 1, "path outside the folder": 1, "missing file": 1}


def test_rows_of_a_datasets_data_set(made: Path, recipe: Recipe, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    paths = sorted((tmp_path / "pictures").rglob("*.png"))
    rows = {
        "picture": [{"bytes": path.read_bytes(), "path": None} for path in paths] + [None],
        "said": [path.with_suffix(".txt").read_text() for path in paths] + ["nothing"],
    }
    features = datasets.Features({"picture": datasets.Image(), "said": datasets.Value("string")})
    table = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": table}).save_to_disk(tmp_path / "rows")
    found = run(tmp_path / "rows", recipe, tmp_path / "set", image="picture", caption="said")
    assert (found.total, found.accepted, found.refused) == (8, 7, {"missing file": 1})
    assert substance(tmp_path / "set") == substance(made)
    with pytest.raises(SettingError, match="has no column 'image'"):
        run(tmp_path / "rows", recipe, tmp_path / "other")
    with pytest.raises(SettingError, match="has no split 'test'"):
        run(tmp_path / "rows", recipe, tmp_path / "other", image="picture", split="test")


def test_datasets_reads_what_was_built(made: Path) -> None:
    datasets = pytest.importorskip("datasets")
    cache = made.parent / "cache"
    table = datasets.load_dataset("imagefolder", data_dir=str(made), split="train", cache_dir=str(cache))
    assert len(table) == 7 and table[0]["caption"] == records(made)[0]["caption"]
    assert np.asarray(table[0]["image"]).shape == (64, 64, 3)


def test_sources_that_are_not_there_are_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--from datasets"):
        open_source("owner/name")
    with pytest.raises(SettingError, match="wanted one of pictures"):
        open_source(str(tmp_path), "films")
    with pytest.raises(DataError, match="holds no shard"):
        list(open_source(str(tmp_path), "shards").parts())
