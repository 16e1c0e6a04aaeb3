"""`controlnet dataset build`: its options, its one-line errors, killed at any time, and on Ray."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.cli.app import main
from tests.tiny_blip import tiny_blip


def pictures(folder: Path, count: int, side: int = 64, captioned: bool = True) -> Path:
    folder.mkdir()
    for number in range(count):
        squares = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(squares).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:03d}.png")
        if captioned:
            (folder / f"{number:03d}.txt").write_text(f"picture {number}")
    return folder


def command(source: Path, out: Path, *more: str) -> list[str]:
    ranges = "canny(low=50..150, high=150..250)"
    return [
        "dataset",
        "build",
        str(source),
        "--condition",
        ranges,
        "--out",
        str(out),
        "--workers",
        "1",
        *more,
    ]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if ".build" not in path.parts}


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def test_a_set_is_built_checked_and_not_built_again(tmp_path: Path, capsys) -> None:
    source = pictures(tmp_path / "in", 4)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(source / "dark.png")
    assert main(command(source, tmp_path / "set", "--layout", "webdataset", "--per-shard", "3")) == 0
    told = capsys.readouterr().out
    assert "holds 4 examples of 5 pictures; left out: 1 blank (seed 0)" in told
    assert main(["dataset", "check", str(tmp_path / "set")]) == 0
    assert "can be used: 4 examples" in capsys.readouterr().out
    assert main(command(source, tmp_path / "set", "--layout", "webdataset", "--per-shard", "3")) == 0
    assert "nothing was new" in capsys.readouterr().out


def test_options_reach_the_recipe(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", 2, side=96, captioned=False)
    options = ["--missing-caption", "empty", "--short-side", "48", "--least-side", "96", "--store", "jpg"]
    options += ["--aspect", "1..1.5", "--near", "-1", "--blank", "0", "--seed", "3", "--from", "pictures"]
    assert main(command(source, tmp_path / "set", *options)) == 0
    recipe = json.loads((tmp_path / "set" / "build.json").read_text())["recipe"]
    assert recipe == {
        "condition": "canny(low=50..150, high=150..250)", "seed": 3, "captioner": None,
        "missing_caption": "empty", "least_side": 96, "narrowest": 1.0, "widest": 1.5, "blank": 0.0,
        "near": None, "short_side": 48, "store": "jpg", "layout": "imagefolder", "per_shard": 1000,
    }  # fmt: skip
    assert [Path(r["file_name"]).suffix for r in records(tmp_path / "set")] == [".jpg"] * 2


def test_blip_captions_what_comes_without(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", 2)
    (source / "001.txt").unlink()
    model = f"blip(model={str(tiny_blip(tmp_path / 'blip'))!r}, words=4)"
    assert main(command(source, tmp_path / "set", "--caption", model)) == 0
    told = [(r["caption"], r["provenance"]["caption_from"]) for r in records(tmp_path / "set")]
    assert told[0] == ("picture 0", "file") and told[1][0] and told[1][1] == model


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--condition", "cany"], "canny"),
        (["--condition", "canny(low=9..1)"], "runs backwards"),
        (["--caption", "blop"], "blip"),
        (["--caption", "blip"], "hf download"),
        (["--aspect", "wide"], "0.5..2"),
        (["--aspect", "3..2"], "runs backwards"),
        (["--missing-caption", "invent"], "skip"),
        (["--from", "films"], "pictures, manifest, shards, datasets"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_written(
    tmp_path: Path, capsys, options: list[str], told: str
) -> None:
    source = pictures(tmp_path / "in", 1)
    assert main(command(source, tmp_path / "set", *options)) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1
    assert not (tmp_path / "set").exists()


def test_ray_that_is_not_installed_is_told(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(command(pictures(tmp_path / "in", 1), tmp_path / "set", "--ray")) == 2
    assert "controlnet[ray]" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["imagefolder", "webdataset"])
def test_killed_at_random_points_it_ends_bit_equal(tmp_path: Path, layout: str) -> None:
    source, rng = pictures(tmp_path / "in", 120), random.Random(0)
    options = ["--layout", layout, "--per-shard", "7"]
    assert main(command(source, tmp_path / "whole", *options)) == 0
    kills = 0
    while kills < 12:
        process = subprocess.Popen(
            [sys.executable, "-m", "controlnet", *command(source, tmp_path / "set", *options)],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        before = _committed(tmp_path / "set")
        while process.poll() is None and _committed(tmp_path / "set") <= before:
            time.sleep(0.005)
        time.sleep(rng.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert main(command(source, tmp_path / "set", *options)) == 0
    assert contents(tmp_path / "set") == contents(tmp_path / "whole")


def _committed(folder: Path) -> int:
    files = [folder / "metadata.jsonl", *folder.glob("*.tar"), *folder.glob(".build/0*.tar")]
    return sum(path.stat().st_size for path in files if path.exists())


@pytest.mark.slow
def test_ray_with_two_workers_writes_the_bytes_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray.data")
    source = pictures(tmp_path / "in", 70)
    (source / "013.png").write_bytes(b"no picture")
    (source / "050.png").write_bytes((source / "020.png").read_bytes())
    assert main(command(source, tmp_path / "one")) == 0
    words = command(source, tmp_path / "ray", "--ray")
    words[words.index("--workers") + 1] = "2"
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "controlnet", *words], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "holds 68 examples of 70 pictures" in done.stdout
    assert contents(tmp_path / "ray") == contents(tmp_path / "one")
