import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pytest

from controlnet.data import Circles, generate
from controlnet.data.manifest import METADATA
from controlnet.errors import DataError

PROVENANCE = {"generator": "circles", "seed": 1, "size": 24}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def fill(folder: Path, count: int, workers: int = 1) -> list[int]:
    return list(generate(folder, Circles(1, 24), count, PROVENANCE, workers))


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    assert fill(tmp_path / "whole", 12) == list(range(13))
    return contents(tmp_path / "whole")


def test_several_processes_write_the_bytes_of_one(tmp_path, whole):
    assert fill(tmp_path / "two", 12, workers=2) == list(range(13))
    assert contents(tmp_path / "two") == whole


def test_running_again_changes_nothing(tmp_path, whole):
    assert fill(tmp_path / "whole", 12) == [12]
    assert fill(tmp_path / "whole", 5) == [5]
    assert contents(tmp_path / "whole") == whole


def test_a_run_given_up_is_continued_to_the_same_bytes(tmp_path, whole):
    steps = generate(tmp_path / "part", Circles(1, 24), 12, PROVENANCE)
    assert list(islice(steps, 5)) == [0, 1, 2, 3, 4]
    steps.close()
    assert len((tmp_path / "part" / METADATA).read_bytes().splitlines()) == 4
    assert fill(tmp_path / "part", 12) == list(range(4, 13))
    assert contents(tmp_path / "part") == whole


def test_a_run_killed_outright_is_continued_to_the_same_bytes(tmp_path):
    folder = tmp_path / "killed"
    code = (
        "from controlnet.data import Circles, generate\n"
        "if __name__ == '__main__':\n"
        f"    list(generate({str(folder)!r}, Circles(1, 24), 100_000, {PROVENANCE}, workers=2))\n"
    )
    (tmp_path / "run.py").write_text(code)
    process = subprocess.Popen([sys.executable, tmp_path / "run.py"], stderr=subprocess.PIPE)
    manifest = folder / METADATA
    while not (manifest.exists() and manifest.read_bytes().count(b"\n") > 20):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()  # ends only when the workers, who hold the pipe too, are gone
    there = manifest.read_bytes().count(b"\n")
    fill(folder, there + 10)
    fill(tmp_path / "fresh", there + 10)
    continued, fresh = contents(folder), contents(tmp_path / "fresh")
    assert continued[METADATA] == fresh[METADATA]
    # Workers may have been ahead of the manifest: such pictures are not listed, but right.
    assert all(continued[name] == data for name, data in fresh.items())


def test_a_folder_begun_otherwise_is_refused_and_left_alone(tmp_path, whole):
    with pytest.raises(DataError, match="made with seed 1, asked for 2"):
        next(generate(tmp_path / "whole", Circles(2, 24), 12, {**PROVENANCE, "seed": 2}))
    assert contents(tmp_path / "whole") == whole


@dataclass(frozen=True)
class Dying:
    def __call__(self, index: int):
        if index == 3:
            os._exit(1)
        return Circles(1, 24)(index)


def test_a_worker_that_dies_is_an_error_with_a_mend_and_the_rest_is_kept(tmp_path):
    with pytest.raises(DataError, match="fewer workers"):
        list(generate(tmp_path / "set", Dying(), 12, PROVENANCE, 2))
    assert fill(tmp_path / "set", 6)[-1] == 6
