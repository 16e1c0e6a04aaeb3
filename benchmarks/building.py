"""Whether building a data set costs the same for each picture, however many there are.

Synthetic pictures of 128×128, PNG, captioned; canny with random thresholds, all filters. For each size a new
process builds, alone, once into an imagefolder and once into shards, and then again, to find that nothing is
to be done. Rates are of processor time, which other work on the machine moves less than the clock.
`python -m benchmarks.building 50000 --layout webdataset` takes other sizes.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame import Figure, Report

SIZES = (1_000, 10_000)
SIDE = 128
ROOT = Path(__file__).parent.parent
ONCE = """
import json, resource, sys, time
from controlnet.data.build import Recipe, build, open_source
source, out, layout, every = sys.argv[1:]
recipe = Recipe(condition="canny(low=50..150, high=150..250)", layout=layout)
marks, began, busy = [], time.perf_counter(), time.process_time()
for found in build(open_source(source), recipe, out):
    if found.seen and found.seen % int(every) == 0:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        marks.append((found.seen, time.perf_counter() - began, time.process_time() - busy, memory))
print(json.dumps({"accepted": found.accepted, "seen": found.seen, "marks": marks}))
"""


def write_pictures(folder: Path, count: int) -> None:
    """Write `count` pictures of random spots, each with its caption, a thousand to a folder."""
    import numpy as np
    from PIL import Image

    for number in range(count):
        path = folder / f"{number // 1000:04d}" / f"{number:07d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        spots = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = Image.fromarray(spots).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        image.save(path, compress_level=1)
        path.with_suffix(".txt").write_text(f"spots number {number}\n")


def build_once(source: Path, out: Path, layout: str, every: int) -> dict[str, Any]:
    """Build in a new process: examples, and (pictures, seconds, processor seconds, peak bytes) on the way."""
    words = [sys.executable, "-c", ONCE, str(source), str(out), layout, str(every)]
    done = subprocess.run(words, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def of(size: int, folder: Path, layout: str) -> dict[str, float]:
    """Return what a build of `size` pictures costs, per picture."""
    source, out = folder / f"pictures-{size}", folder / f"{layout}-{size}"
    if not source.is_dir():
        write_pictures(source, size)
    every = max(1, size // 20)
    found = build_once(source, out, layout, every)
    marks: list[tuple[int, float, float, float]] = found["marks"]
    (first, _, early, _), (last, wall, late, peak) = marks[1], marks[-1]
    steady = (last - first) / (late - early)
    tenth = max(1, len(marks) // 10)
    (a, _, since, _), (b, _, until, _) = marks[-1 - tenth], marks[-1]
    began = time.perf_counter()
    build_once(source, out, layout, every)
    again = time.perf_counter() - began
    files = [path for path in out.rglob("*") if path.is_file()]
    hidden = sum(path.stat().st_size for path in files if ".build" in path.parts)
    return {
        "accepted": found["accepted"] / found["seen"],
        "wall": last / wall,
        "rate": steady,
        "end": (b - a) / (until - since),
        "peak": peak / 2**20,
        "output": (sum(path.stat().st_size for path in files) - hidden) / found["accepted"],
        "memory": hidden / found["accepted"],
        "again": again / size * 1e6,
    }


def measure(
    repeats: int = 1, sizes: Sequence[int] = SIZES, layouts: Sequence[str] = ("imagefolder", "webdataset")
) -> Report:
    """Build each size in each layout; `repeats` is not used: a size is a repeat of the one before."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="controlnet-building-") as name:
        for layout in layouts:
            base: dict[str, float] = {}
            for size in sizes:
                found = of(size, Path(name), layout)
                base = base or found
                figures += _figures(f"{layout}, {size:,}", found, None if base is found else base)
    return Report("building", "Does a picture cost the same, however many there are?", figures)


def _figures(of_what: str, found: dict[str, float], base: dict[str, float] | None) -> list[Figure]:
    flat = (0.8, 1.25)
    figures = [
        Figure(f"{of_what}: pictures per second of processor time", found["rate"], "1/s"),
        Figure(f"{of_what}: the same in the last tenth", found["end"], "1/s"),
        Figure(f"{of_what}: pictures per second on the clock", found["wall"], "1/s"),
        Figure(f"{of_what}: peak memory", found["peak"], "MB"),
        Figure(f"{of_what}: output, per picture", found["output"], "bytes"),
        Figure(f"{of_what}: the build's own memory on disk, per picture", found["memory"], "bytes"),
        Figure(f"{of_what}: a second run that writes nothing, per picture", found["again"], "µs"),
    ]
    if base is not None:
        for key, wanted in (("rate", flat), ("output", flat), ("peak", (None, 1.1))):
            ratio = found[key] / base[key]
            figures.append(
                Figure(f"{of_what}: {key} / that of the smallest", ratio, "", wanted, "prediction")
            )
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.building")
    parser.add_argument("sizes", nargs="+", type=int)
    parser.add_argument("--layout", action="append", choices=["imagefolder", "webdataset"])
    given = parser.parse_args()
    print(measure(1, given.sizes, given.layout or ["imagefolder", "webdataset"]).table())
