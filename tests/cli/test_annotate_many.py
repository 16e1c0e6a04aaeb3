"""`controlnet annotate` on a folder: workers, what is done and kept, signals, the report, keypoints."""

import json
import os
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from controlnet.cli.app import main
from controlnet.conditions._base import Condition
from controlnet.conditions._image import Pixels
from controlnet.errors import MissingWeights
from tests.cli.annotating import files, photos

__all__ = ["photos"]


class Watched(Condition):
    """Gives the picture back, and lets a test see and do what it likes."""

    title: ClassVar[str] = "the picture"
    paper: ClassVar[str] = "none"
    licence: ClassVar[str] = "none"
    threads: ClassVar[list[str]] = []
    sizes: ClassVar[list[tuple[int, ...]]] = []
    trouble: ClassVar[dict[int, Any]] = {}
    """What to do at which call: an error to raise, or a signal to send."""

    def detect(self, image: Pixels) -> Pixels:
        self.threads.append(threading.current_thread().name)
        self.sizes.append(image.shape[:2])
        trouble = self.trouble.get(len(self.threads))
        if isinstance(trouble, Exception):
            raise trouble
        if isinstance(trouble, int):
            os.kill(os.getpid(), trouble)
        return image


@pytest.fixture
def watched(photos: Path) -> str:
    """Make eight pictures more; return the text form of the watched condition."""
    for number in range(8):
        Image.new("RGB", (10 + number, 9), (number, 0, 0)).save(f"photos/{number}.png")
    for seen in (Watched.threads, Watched.sizes, Watched.trouble):
        seen.clear()
    return Watched.name()


def run(condition: str, *more: str) -> int:
    return main(["annotate", condition, "photos", "--out", "maps", *more])


def test_several_workers_make_the_same_maps(watched: str) -> None:
    assert run(watched, "--workers", "4") == 0
    assert len(files(Path("maps"))) == 10
    for number in range(8):
        with Image.open(f"maps/{number}.png") as image:
            assert image.size == (10 + number, 9) and image.getpixel((0, 0)) == (number, 0, 0)
    first, *rest = Watched.threads
    assert first == threading.main_thread().name  # where a network is loaded, once for all
    assert first not in rest


def test_maps_that_are_done_are_kept(watched: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(watched) == 0 and len(Watched.threads) == 10
    assert run(watched) == 0 and len(Watched.threads) == 10
    assert "10 of 10 maps" in (said := capsys.readouterr().out) and "; 10 of them were there already" in said
    assert run(watched, "--overwrite") == 0 and len(Watched.threads) == 20


def test_maps_that_are_not_done_in_this_way_are_made_anew(watched: str) -> None:
    assert run(watched) == 0
    Watched.threads.clear()
    picture, newer = Path("photos/3.png"), Path("maps/3.png").stat().st_mtime + 5
    os.utime(picture, (newer, newer))  # a newer picture
    Path("maps/4.png").write_bytes(b"damaged")
    Path("maps/5.png").unlink()
    Image.new("RGB", (16, 9)).save("maps/6.png")  # a map by somebody else
    assert run(watched) == 0
    assert len(Watched.threads) == 4
    assert run(f"{watched}(resolution=64)") == 0
    assert len(Watched.threads) == 14
    assert run(f"{watched}(resolution=64)", "--pixel-perfect", "64x64") == 0
    assert len(Watched.threads) == 24


def test_pixel_perfect_sets_the_resolution_of_each_picture(watched: str) -> None:
    assert run(watched, "--pixel-perfect", "256x256") == 0
    assert {min(size) for size in Watched.sizes} == {256}
    assert run(watched, "--pixel-perfect", "256x256", "--fit", "fill") == 0
    assert {max(size) for size in Watched.sizes[10:]} <= {255, 256, 257}


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_between_whole_maps_and_the_command_continues(
    watched: str, workers: str, number: int, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Watched.trouble[4] = number
    assert run(watched, "--workers", workers, "--report", "report.json") == status
    there = files(Path("maps"))
    assert 3 <= len(there) < 10 and not [name for name in there if "part" in name]
    for name in there:
        with Image.open(Path("maps", name)) as image:
            image.load()
    told = json.loads(Path("report.json").read_text())
    assert told["made"] == len(there) and told["not_reached"] == 10 - len(there)
    assert (
        f"{len(there)} of 10 maps ({watched}) are in maps; the same command continues"
        in capsys.readouterr().err
    )
    before = len(Watched.threads)
    assert run(watched, "--workers", workers) == 0
    assert len(files(Path("maps"))) == 10 and len(Watched.threads) == before + 10 - len(there)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_one_odd_picture_does_not_end_the_work(
    watched: str, workers: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Watched.trouble.update({1: ValueError("odd\nindeed"), 5: MemoryError()})
    assert run(watched, "--workers", workers) == 1
    said = capsys.readouterr()
    assert len(files(Path("maps"))) == 8 and "8 of 10" in said.out
    assert "unexpected ValueError: odd indeed" in said.err and said.err.count("\n") == 2


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize(
    ("call", "error", "status"), [(1, MissingWeights("no Net.pth"), 2), (5, OSError("disk full"), 1)]
)
def test_what_is_the_same_for_every_picture_ends_the_work(
    watched: str, workers: str, call: int, error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Watched.trouble[call] = error
    assert run(watched, "--workers", workers) == status
    assert str(error) in capsys.readouterr().err
    assert len(files(Path("maps"))) < 10


def test_the_report_tells_of_each_picture(watched: str) -> None:
    assert main(["annotate", watched, "photos/*.png", "--out", "maps", "--workers", "1"]) == 0
    Path("maps/1.png").unlink()
    Path("maps/2.png").unlink()
    Path("photos/2.png").write_bytes(b"no picture")
    spec = ["annotate", f"{watched}()", "photos/*.png", "--out", "maps"]
    assert main([*spec, "--workers", "2", "--report", "new/report.json"]) == 1
    told = json.loads(Path("new/report.json").read_text())
    assert told["condition"] == watched and told["settings"] == {"resolution": None}
    counts = {key: told[key] for key in ("total", "made", "kept", "skipped", "not_reached")}
    assert counts == {"total": 9, "made": 1, "kept": 7, "skipped": 1, "not_reached": 0}
    entries = {entry.pop("picture"): entry for entry in told["pictures"]}
    assert entries["photos/1.png"] == {"status": "made", "map": "maps/1.png"}
    assert entries["photos/0.png"] == {"status": "kept", "map": "maps/0.png"}
    assert (
        entries["photos/2.png"]["status"] == "skipped"
        and "not a picture" in entries["photos/2.png"]["reason"]
    )


class Posing(Watched):
    """Finds one person, a pose being its height and width here, and draws its size."""

    def find_people(self, image: Pixels) -> tuple[int, int]:
        self.sizes.append(image.shape[:2])
        return image.shape[0], image.shape[1]

    def draw(self, pose: tuple[int, int]) -> Pixels:
        return np.full((*pose, 3), 9, np.uint8)


@pytest.fixture
def posing(photos: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    module = ModuleType("_keypoints")
    module.to_json = list  # pyright: ignore[reportAttributeAccessIssue]
    module.read = lambda path: tuple(json.loads(path.read_text()))  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "controlnet.conditions._keypoints", module)
    Watched.sizes.clear()
    return Posing.name()


def test_keypoints_are_written_beside_their_maps(posing: str) -> None:
    assert run(posing, "--keypoints") == 0
    assert files(Path("maps")) == {"a.png", "a.json", "sub/b.png", "sub/b.json"}
    assert json.loads(Path("maps/a.json").read_text()) == [30, 40]
    Path("maps/a.json").unlink()
    assert run(posing, "--keypoints") == 0 and len(Watched.sizes) == 3  # what lacks its keypoints is not done
    assert main(["annotate", posing, "photos/a.png", "--out", "one.png"]) == 0
    assert not Path("one.json").exists()


def test_keypoints_are_drawn(posing: str) -> None:
    Path("poses").mkdir()
    for name in ("a", "b"):
        Path(f"poses/{name}.json").write_text("[6, 8]")
    assert main(["annotate", posing, "poses/a.json", "--out", "map.png"]) == 0
    assert main(["annotate", posing, "poses/*.json", "--out", "maps"]) == 0
    assert files(Path("maps")) == {"a.png", "b.png"} and not Watched.sizes
    for drawn in ("map.png", "maps/b.png"):
        with Image.open(drawn) as image:
            assert image.size == (8, 6) and image.getpixel((0, 0)) == (9, 9, 9)


def test_json_is_for_conditions_that_draw_poses(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("pose.json").write_text("{}")
    assert main(["annotate", "canny", "pose.json", "--out", "m.png"]) == 2
    assert "canny draws no keypoints" in capsys.readouterr().err
