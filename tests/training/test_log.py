"""JSON lines that a resumed run goes on with."""

import json
from pathlib import Path

import pytest

from controlnet.training.log import JsonLines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run" / "metrics.jsonl"
    book = JsonLines(path, upto=0)
    for step in range(1, 6):
        book.write({"step": step, "loss": 1 / step})
    book.close()
    return path


def steps(path: Path) -> list[int]:
    return [json.loads(line)["step"] for line in path.read_text().splitlines()]


def test_a_resumed_file_keeps_the_lines_up_to_its_step(path: Path) -> None:
    book = JsonLines(path, upto=3)
    assert [record["step"] for record in book.kept] == [1, 2, 3]
    book.write({"step": 4})
    book.close()
    assert steps(path) == [1, 2, 3, 4]


@pytest.mark.parametrize("torn", ['{"step": 6, "lo', '{"step": 6', "{", "\x00\x00"])
def test_a_torn_last_line_is_dropped(path: Path, torn: str) -> None:
    with path.open("a") as file:
        file.write(torn)
    JsonLines(path, upto=9).close()
    assert steps(path) == [1, 2, 3, 4, 5]


def test_a_new_run_keeps_nothing(path: Path) -> None:
    JsonLines(path, upto=0).close()
    assert path.read_text() == ""


def test_records_are_there_as_soon_as_they_are_written(path: Path) -> None:
    book = JsonLines(path, upto=5)
    book.write({"step": 6})
    assert steps(path)[-1] == 6
    book.to_disk()
    book.close()


def test_numbers_that_json_has_not_become_null(path: Path) -> None:
    book = JsonLines(path, upto=0)
    book.write({"step": 1, "grad_norm": float("inf"), "loss": float("nan")})
    book.close()
    assert json.loads(path.read_text()) == {"step": 1, "grad_norm": None, "loss": None}


def test_who_does_not_write_reads_all_the_same_and_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    book = JsonLines(path, upto=3, writes=False)
    book.write({"step": 4})
    book.close()
    assert [record["step"] for record in book.kept] == [1, 2, 3] and path.read_bytes() == before
