import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.data.build import Recipe, build, open_source

Contents = dict[str, bytes]


def run(source: Path, recipe: Recipe, out: Path, workers: int = 1):
    """Build a set and return the last report."""
    return list(build(open_source(str(source)), recipe, out, workers))[-1]


def blocks(number: int, height: int = 64, width: int = 64) -> np.ndarray:
    """A picture of coloured spots, unlike that of any other number."""
    squares = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(squares).resize((width, height), Image.Resampling.BICUBIC))


def contents(folder: Path) -> Contents:
    """What a build has made, its own memory left out."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files if ".build" not in path.parts}


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All files with the time of their last change."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def refused(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "refused.jsonl").read_text().splitlines()]


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[..., Path]:
    """A maker of folders of `count` captioned pictures, in two subfolders."""

    def make(count: int, name: str = "pictures", start: int = 0) -> Path:
        for number in range(start, start + count):
            path = tmp_path / name / f"{number % 2}" / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(blocks(number)).save(path)
            path.with_suffix(".txt").write_text(f"squares\n number {number}\n")
        return tmp_path / name

    return make


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(condition="canny(low=50..150, high=150..250)", per_shard=4)
