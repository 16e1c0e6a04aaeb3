"""The measurement of building runs, in both layouts, and counts all of the pictures."""

from pathlib import Path

from benchmarks import building


def test_what_a_picture_costs_is_measured(tmp_path: Path) -> None:
    found = building.of(20, tmp_path, "webdataset")
    assert found["accepted"] == 1.0 and min(found["rate"], found["end"], found["wall"]) > 0
    assert found["output"] > 1000 and found["memory"] > 0
    assert len(list((tmp_path / "pictures-20").rglob("*.png"))) == 20
