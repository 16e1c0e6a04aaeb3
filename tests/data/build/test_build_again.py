"""Builds that are run again, given up, damaged or shared: the same bytes, or a refusal."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from controlnet.data.build import Recipe, build, open_source
from controlnet.data.build.output import HIDDEN
from controlnet.errors import DataError
from tests.data.build.conftest import contents, everything, records, run


@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_a_second_run_writes_nothing_and_one_given_up_is_continued_to_the_same_bytes(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path, layout: str
) -> None:
    source, recipe = pictures(10), recipe.model_copy(update={"layout": layout})
    run(source, recipe, tmp_path / "whole")
    before = everything(tmp_path / "whole")
    assert run(source, recipe, tmp_path / "whole").accepted == 10
    assert everything(tmp_path / "whole") == before
    for stop in (1, 4, 5, 9, 10):
        steps = build(open_source(str(source)), recipe, tmp_path / f"part{stop}")
        assert len(list(islice(steps, stop + 1))) == stop + 1
        steps.close()
        run(source, recipe, tmp_path / f"part{stop}")
        assert contents(tmp_path / f"part{stop}") == contents(tmp_path / "whole")


@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_what_was_written_but_not_committed_is_written_again(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path, layout: str
) -> None:
    source, recipe = pictures(7), recipe.model_copy(update={"layout": layout})
    run(source, recipe, tmp_path / "whole")
    steps = build(open_source(str(source)), recipe, tmp_path / "torn")
    list(islice(steps, 3))
    steps.close()
    for path in (tmp_path / "torn").rglob("*"):  # as a process leaves it that dies between two writes
        if path.name in ("metadata.jsonl", "refused.jsonl", "000000.tar"):
            path.write_bytes(path.read_bytes() + b"half a li")
    (tmp_path / "torn" / HIDDEN / "part").write_bytes(b"half a picture")
    run(source, recipe, tmp_path / "torn")
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_a_shard_that_is_full_but_not_yet_in_its_place_is_brought_there(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source, recipe = pictures(5), recipe.model_copy(update={"layout": "webdataset"})
    run(source, recipe, tmp_path / "set")
    before = contents(tmp_path / "set")
    (tmp_path / "set" / "shard-000000.tar").rename(tmp_path / "set" / HIDDEN / "000000.tar")
    run(source, recipe, tmp_path / "set")
    assert contents(tmp_path / "set") == before


def test_several_processes_write_the_bytes_of_one(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(9)
    run(source, recipe, tmp_path / "one")
    run(source, recipe, tmp_path / "two", workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_a_source_that_has_grown_is_gone_on_with(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    run(pictures(4), recipe, tmp_path / "set")
    before = contents(tmp_path / "set")
    assert run(pictures(2, start=4), recipe, tmp_path / "set").accepted == 6
    after = contents(tmp_path / "set")
    assert after["metadata.jsonl"].startswith(before["metadata.jsonl"])
    assert [r["provenance"]["source"] for r in records(tmp_path / "set")][4:] == ["0/004.png", "1/005.png"]


def test_another_seed_draws_other_settings_and_is_refused_in_the_same_folder(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source, other = pictures(4), recipe.model_copy(update={"seed": 1})
    run(source, recipe, tmp_path / "a")
    run(source, other, tmp_path / "b")
    drawn = [{r["provenance"]["condition"] for r in records(tmp_path / name)} for name in "ab"]
    assert not drawn[0] & drawn[1]
    before = everything(tmp_path / "a")
    with pytest.raises(DataError, match="begun with seed 0, asked for 1"):
        run(source, other, tmp_path / "a")
    assert everything(tmp_path / "a").keys() == before.keys()


def test_a_set_that_has_lost_lines_or_its_memory_is_not_continued(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(3)
    run(source, recipe, tmp_path / "set")
    (tmp_path / "set" / "metadata.jsonl").write_bytes(b"")
    with pytest.raises(DataError, match="shorter than it was"):
        run(source, recipe, tmp_path / "set")
    for path in (tmp_path / "set" / HIDDEN).glob("ledger.sqlite*"):
        path.write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="not the memory of a build"):
        run(source, recipe, tmp_path / "set")


def test_two_builds_at_once_are_refused(
    pictures: Callable[..., Path], recipe: Recipe, tmp_path: Path
) -> None:
    source = pictures(2)
    steps = build(open_source(str(source)), recipe, tmp_path / "set")
    next(steps)
    with pytest.raises(DataError, match="another process"):
        run(source, recipe, tmp_path / "set")
    steps.close()
