"""SIGKILL at random: while caches are filled, in steps, in saves, while data sets are built; nothing is lost.

A point is one of three kinds, drawn by a seed: a moment of time, the n-th time that a file is opened,
renamed, made or removed, and the n-th byte of a file, at which the system itself ends the process in the
midst of a write. Each begins a few kilobytes of work anew or goes on with what the points before it have
left; every chain of them is brought to its end and compared, byte for byte, with what was never disturbed.
"""

import json
import os
import random
import resource
import signal
import sqlite3
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from controlnet.data.build import Recipe, build, open_source
from controlnet.training import TrainingPlan, page, state, train

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning"),
]
POINTS = {"training": 36, "imagefolder": 10, "webdataset": 10}
CHAIN = 4  # points at most before a chain is brought to its end
EVENTS = (
    "open",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.truncate",
    "shutil.rmtree",
    "os.chmod",
)

Arm = Callable[[Path], object]


class Work(ABC):
    """Something that is killed and goes on; all of it happens in one folder."""

    @abstractmethod
    def do(self, folder: Path) -> None:
        """Do it, or what is left of it."""

    @abstractmethod
    def made(self, folder: Path) -> Mapping[str, bytes]:
        """Return what it has come to, by name."""

    @abstractmethod
    def kept(self, folder: Path) -> dict[str, int]:
        """Return what a kill must not lessen."""


class Training(Work):
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def do(self, folder: Path) -> None:
        places = [f"out={folder / 'run'}", f"data.cache_folder={folder / 'cache'}"]
        watch = ["watch.preview_every=3", "watch.sample_steps=1", "watch.samples=2"]
        train(TrainingPlan.of(self._values, ["data.cache=disk", *watch, *places]), resume=True)

    def made(self, folder: Path) -> Mapping[str, bytes]:
        own = {"plan.yaml", "timing.jsonl", "index.html", "result.json"}  # paths and the clock are in these
        files = (path for path in (folder / "run").rglob("*") if path.is_file())
        place = str(folder).encode(), b"folder"  # where the cache lies stands in the weights
        return {
            str(path.relative_to(folder)): b"" if path.name in own else _plain(path).replace(*place)
            for path in files
        }

    def kept(self, folder: Path) -> dict[str, int]:
        run = folder / "run"
        newest = state.newest(run / "state")
        done = 0 if newest is None else int(state.read(newest)["step"])
        recorded = _steps(run / "metrics.jsonl")
        # A state is written after each second record: what is behind the last but one must be in it.
        assert done >= (max(recorded, default=1) - 1) // 2 * 2
        shards = (folder / "cache").glob("*/[!.]*.safetensors")
        return {"state": done} | {str(path.relative_to(folder)): path.stat().st_size for path in shards}


class Building(Work):
    def __init__(self, source: Path, layout: str) -> None:
        self._source = source
        self._recipe = Recipe.model_validate(
            {"condition": "canny(low=50..150, high=150..250)", "layout": layout, "per_shard": 4}
        )

    def do(self, folder: Path) -> None:
        for _ in build(open_source(str(self._source)), self._recipe, folder / "set"):
            pass

    def made(self, folder: Path) -> Mapping[str, bytes]:
        files = (path for path in (folder / "set").rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): p.read_bytes() for p in files if ".build" not in p.parts}

    def kept(self, folder: Path) -> dict[str, int]:
        ledger = folder / "set" / ".build" / "ledger.sqlite"
        if not ledger.exists():
            return {}
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as base:
            try:
                row = base.execute("SELECT value FROM facts WHERE name = 'state'").fetchone()
            except sqlite3.OperationalError:  # killed before it had its tables
                row = None
        base.close()
        return {} if row is None else {"accepted": int(json.loads(row[0])["accepted"])}


def _plain(path: Path) -> bytes:
    if path.name != "state.json":
        return path.read_bytes()
    values = json.loads(path.read_text())
    return json.dumps({key: value for key, value in values.items() if key != "seconds"}).encode()


def _steps(metrics: Path) -> Iterator[int]:
    for line in metrics.read_text().splitlines() if metrics.exists() else []:
        try:
            yield int(json.loads(line)["step"])
        except ValueError:  # torn
            return


def at_event(number: int, told: Path | None = None) -> Arm:
    """Die at the n-th event on a file; with `told`, count them all there instead."""

    def arm(folder: Path) -> None:
        count = 0

        def hook(event: str, given: tuple[Any, ...]) -> None:
            nonlocal count
            if event in EVENTS and str(given[0]).startswith(str(folder)):
                count += 1
                if told is not None:
                    os.pwrite(descriptor, f"{count:9d}".encode(), 0)
                elif count == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        descriptor = -1 if told is None else os.open(told, os.O_WRONLY | os.O_CREAT)
        sys.addaudithook(hook)

    return arm


def at_byte(number: int) -> Arm:
    """Let the system end the process when a file would become longer; what is before is written."""

    def arm(folder: Path) -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (number, number))

    return arm


def survives(work: Work, folder: Path, arm: Arm | None, after: float | None = None) -> bool:
    """Do the work in a child, armed or killed after so many seconds; tell whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            if arm is not None:
                arm(folder)
            work.do(folder)
            os._exit(0)
        except BaseException as error:
            (folder / "error.txt").write_text(repr(error))
        finally:
            os._exit(7)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, (folder / "error.txt").read_text()
    return os.WIFEXITED(status)


@pytest.fixture
def work(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    if request.param == "training":
        monkeypatch.setattr("controlnet.data.cache.store.SHARD_ENTRIES", 5)
        monkeypatch.setattr(page, "EVERY", 0.0)  # the page is written at every event
        monkeypatch.setattr(page, "SHARE", 1e9)
        return Training(request.getfixturevalue("values"))
    (tmp_path / "in").mkdir()
    for number in range(24):
        spots = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(spots).resize((64, 64), Image.Resampling.BICUBIC).save(
            tmp_path / f"in/{number:02d}.png"
        )
        (tmp_path / f"in/{number:02d}.txt").write_text(f"picture {number}")
    return Building(tmp_path / "in", request.param)


@pytest.mark.parametrize(("work", "points"), POINTS.items(), indirect=["work"], ids=list(POINTS))
def test_killed_at_random_points_nothing_is_lost_and_the_end_is_the_same(
    work: Work, points: int, tmp_path: Path
) -> None:
    began = time.monotonic()
    whole = tmp_path / "chain00"  # names of one length: they stand in headers
    whole.mkdir()
    assert survives(work, whole, at_event(0, told=tmp_path / "events"))
    seconds, events = time.monotonic() - began, int((tmp_path / "events").read_text())
    wanted = work.made(whole)
    largest = max(path.stat().st_size for path in whole.rglob("*") if path.is_file())
    rng = random.Random(4)
    done, chains = dict.fromkeys(("moment", "event", "byte"), 0), 0
    while sum(done.values()) < points:
        chains += 1
        folder = tmp_path / f"chain{chains:02d}"
        folder.mkdir()
        kept: dict[str, int] = {}
        for _ in range(rng.randint(1, CHAIN)):
            kind = min(done, key=lambda name: (done[name], rng.random()))
            if kind == "moment":
                ended = survives(work, folder, None, after=seconds * rng.random() ** 2)
            elif kind == "event":
                ended = survives(work, folder, at_event(rng.randint(1, events // 2)))
            else:
                ended = survives(work, folder, at_byte(round(largest ** rng.uniform(0.3, 1.0))))
            if ended:
                break
            done[kind] += 1
            now = work.kept(folder)
            assert all(now.get(name, -1) >= value for name, value in kept.items()), (kind, kept, now)
            kept = now
        assert survives(work, folder, None)
        found = work.made(folder)
        assert found.keys() == wanted.keys()
        assert [name for name in wanted if found[name] != wanted[name]] == []
    assert min(done.values()) >= points // 4
