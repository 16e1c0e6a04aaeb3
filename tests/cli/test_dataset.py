"""`controlnet dataset`: sets of both worlds, continued after a stop, and the check of a set."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.data.manifest import METADATA, lines, parse
from controlnet.data.pictures import read_rgb
from controlnet.shapes import render


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def circles(out: Path, count: int, *more: str) -> list[str]:
    return ["dataset", "circles", "--count", str(count), "--size", "32", "--out", str(out), *more]


def examples(folder: Path):
    return [parse(folder, line, number) for number, _, line in lines(folder)]


def test_circles_are_written_once_and_reported_with_their_seed(tmp_path: Path, capsys) -> None:
    assert main(circles(tmp_path / "set", 5, "--seed", "3")) == 0
    assert "holds 5 examples (seed 3)" in capsys.readouterr().out
    before = contents(tmp_path / "set")
    assert len(before) == 11
    assert main(circles(tmp_path / "set", 5, "--seed", "3", "--workers", "2")) == 0
    assert contents(tmp_path / "set") == before
    assert main(circles(tmp_path / "set", 8, "--seed", "3")) == 0
    assert contents(tmp_path / "set").items() >= {k: v for k, v in before.items() if k != METADATA}.items()
    provenance = examples(tmp_path / "set")[7].provenance
    assert {**provenance, "version": ""} == {
        "generator": "circles", "seed": 3, "size": 32, "condition": "ring", "label_map": True,
        "index": 7, "version": "",
    }  # fmt: skip


def test_another_seed_in_the_same_folder_is_a_mistake(tmp_path: Path, capsys) -> None:
    assert main(circles(tmp_path, 2)) == 0
    before = contents(tmp_path)
    assert main(circles(tmp_path, 2, "--seed", "1")) == 2
    assert "seed 0, asked for 1" in capsys.readouterr().err
    assert contents(tmp_path) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    folder, manifest = tmp_path / "set", tmp_path / "set" / METADATA
    command = [sys.executable, "-m", "controlnet", *circles(folder, 100_000, "--workers", "2")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not (manifest.exists() and manifest.read_bytes().count(b"\n") > 20):
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, told = process.communicate()
    there = len(examples(folder))
    assert process.returncode == 128 + number
    assert f"{folder} holds {there} of 100000 examples; the same command continues" in told
    assert "Traceback" not in told
    assert main(circles(folder, there + 5)) == 0
    assert [e.provenance["index"] for e in examples(folder)] == list(range(there + 5))
    assert main(["dataset", "check", str(folder)]) == 0


def shapes(out: Path, *more: str) -> list[str]:
    return ["dataset", "shapes", "--count", "2", "--size", "32", "--seed", "4", "--out", str(out), *more]


def test_shapes_are_the_renderers_pictures_and_the_annotators_maps(tmp_path: Path) -> None:
    assert main(shapes(tmp_path, "--condition", "canny(low=50)")) == 0
    for index, example in enumerate(examples(tmp_path)):
        view = render(4, index, size=32)
        assert np.array_equal(read_rgb(example.image), view.image) and example.caption == view.caption
        assert np.array_equal(read_rgb(example.conditioning), annotate("canny(low=50)", view.image))
        assert (example.provenance["condition"], example.provenance["label_map"]) == ("canny(low=50)", True)


@pytest.mark.parametrize("name", ["depth", "normal", "segmentation", "openpose"])
def test_maps_that_the_renderer_knows_are_the_true_ones(tmp_path: Path, name: str) -> None:
    assert main(shapes(tmp_path, "--condition", name)) == 0
    for index, example in enumerate(examples(tmp_path)):
        assert np.array_equal(read_rgb(example.conditioning), render(4, index, size=32).control(name))
        assert example.provenance["annotated"] is False
        assert example.provenance["label_map"] is (name == "segmentation")


def test_an_unknown_condition_is_a_mistake_before_anything_is_written(tmp_path: Path, capsys) -> None:
    assert main(shapes(tmp_path / "set", "--condition", "cany")) == 2
    assert "canny" in capsys.readouterr().err and not (tmp_path / "set").exists()


@pytest.mark.parametrize("quick", [[], ["--quick"]])
def test_check_of_a_sound_set(tmp_path: Path, capsys, quick: list[str]) -> None:
    main(circles(tmp_path, 3))
    capsys.readouterr()
    assert main(["dataset", "check", str(tmp_path), *quick]) == 0
    told = capsys.readouterr().out
    assert "can be used: 3 examples" in told and "32×32 px" in told and "condition ring" in told


def test_check_of_a_bad_set_names_reasons_and_places(tmp_path: Path, capsys) -> None:
    main(circles(tmp_path, 10))
    (tmp_path / "images" / "00000004.png").unlink()
    rows = (tmp_path / METADATA).read_text().splitlines()
    rows[2] = json.dumps({**json.loads(rows[2]), "caption": None})
    (tmp_path / METADATA).write_text("\n".join(rows) + "\n")
    assert main(["dataset", "check", str(tmp_path)]) == 2
    told = capsys.readouterr()
    for text in ("missing file", "images/00000004.png", "missing caption", "line 3"):
        assert text in told.out
    assert "2 of 10 examples" in told.err and "at most 5%" in told.err
    assert main(["dataset", "check", str(tmp_path), "--max-bad", "0.2"]) == 0


def test_check_of_no_set_is_a_mistake(tmp_path: Path, capsys) -> None:
    assert main(["dataset", "check", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err
