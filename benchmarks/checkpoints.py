"""What it costs to bring up a ControlNet of Stable Diffusion 1.5's size (1.45 GB) from its file.

Beside it stand a plain read of the file by safetensors, which is the least that it can cost, and diffusers'
own loader on the same folder. Each is done in a process of its own, in turns; imports are over before it
begins, and every number is read once, since a mapped file costs nothing until it is used. Ratios are of
processor time, which other work on the machine hits less than the clock's. Memory is the process's peak
beyond what it held before, by the size of the file. The system has the file in its cache, but for the
turns that are said to be from the disk.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.frame import Figure, Report, median, ratio

ROOT = Path(__file__).parent.parent
WEIGHTS = "diffusion_pytorch_model.safetensors"
CLIP: dict[str, Any] = {"cross_attention_dim": 768}  # the rest of diffusers' defaults is SD 1.5
ONCE = """
import json, resource, sys, time
import torch
kind, folder, weights = sys.argv[1:]
if kind == "ours":
    import controlnet.backbones._hub, diffusers.models.unets.unet_2d_condition
    from controlnet.checkpoints import load_controlnet
    from controlnet.registry import find, names
    [find(kind, name) for kind in ("backbones", "formats") for name in names(kind)]
    load = lambda: load_controlnet(folder).state_dict()
elif kind == "diffusers":
    from diffusers.models.controlnets.controlnet import ControlNetModel
    load = lambda: ControlNetModel.from_pretrained(folder, use_safetensors=True).state_dict()
else:
    from safetensors.torch import load_file
    load = lambda: load_file(weights)
def held():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, began, worked = held(), time.perf_counter(), time.process_time()
with torch.no_grad():
    total = sum(float(tensor.sum()) for tensor in load().values())
assert total == total
found = {"seconds": time.perf_counter() - began, "processor": time.process_time() - worked}
print(json.dumps({**found, "bytes": held() - before}))
"""
KINDS = ("safetensors", "ours", "diffusers")
DISK = {"safetensors from the disk": "safetensors", "ours from the disk": "ours"}


def write(folder: Path, config: Mapping[str, Any]) -> int:
    """Write a made-up ControlNet as a diffusers folder; return the bytes of its weights."""
    import torch
    from diffusers.models.controlnets.controlnet import ControlNetModel

    from controlnet.checkpoints.io import write_pieces
    from controlnet.tensorfiles.piece import Piece

    with torch.device("meta"):
        net = ControlNetModel(**config)
    numbers = torch.rand(2**20, generator=torch.Generator().manual_seed(0)) - 0.5

    def piece(shape: tuple[int, ...]) -> Piece:
        size = torch.Size(shape).numel()
        repeated = -(-size // numbers.numel())
        return Piece(shape, torch.float32, lambda: numbers.repeat(repeated)[:size].reshape(shape))

    net.save_config(folder)
    write_pieces(folder / WEIGHTS, {name: piece(tuple(t.shape)) for name, t in net.state_dict().items()}, {})
    return (folder / WEIGHTS).stat().st_size


def once(kind: str, folder: Path) -> dict[str, float]:
    """Load in a new process: seconds, seconds of processor time, and bytes at the peak."""
    (forget if kind in DISK else remember)(folder / WEIGHTS)
    kind = DISK.get(kind, kind)
    done = subprocess.run(
        [sys.executable, "-c", ONCE, kind, str(folder), str(folder / WEIGHTS)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout)


def remember(path: Path) -> None:
    """Have the system hold a file in its cache: what nobody has read for a while it may have dropped."""
    with path.open("rb", buffering=0) as file:
        while file.read(2**24):
            pass


def forget(path: Path) -> None:
    """Have the system drop a file from its cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(repeats: int = 5, config: Mapping[str, Any] = CLIP) -> Report:
    """Take medians over turns of all kinds; a first turn, which reads the disk, does not count."""
    with tempfile.TemporaryDirectory() as place:
        size = write(Path(place), config)
        turns = [{kind: once(kind, Path(place)) for kind in (*KINDS, *DISK)} for _ in range(1 + repeats)][1:]
    return Report("checkpoints", "What does it cost to load a ControlNet's file?", figures(turns, size))


def figures(turns: Sequence[Mapping[str, Mapping[str, float]]], size: int) -> list[Figure]:
    """Compare the kinds, turn by turn; size: bytes of the file."""

    def column(kind: str, what: str) -> list[float]:
        return [turn[kind][what] for turn in turns]

    def compared(upper: str, lower: str, what: str = "processor") -> float:
        return ratio(column(upper, what), column(lower, what))

    took = [
        Figure(f"{kind}: {title}", median(column(kind, what)), "s")
        for what, title in (("processor", "processor time"), ("seconds", "by the clock"))
        for kind in KINDS
    ]
    peaks = [
        Figure(f"{kind}: peak memory / file", median(column(kind, "bytes")) / size, "", expected, source)
        for kind, expected, source in (
            ("safetensors", None, ""),
            ("ours", (None, 1.2), "contract"),
            ("diffusers", None, ""),
        )
    ]
    return [
        Figure("file", size / 1e9, "GB"),
        *took,
        Figure("ours / safetensors, time", compared("ours", "safetensors"), "", (None, 1.3), "contract"),
        Figure("the same from the disk", compared(*reversed(DISK)), "", (None, 1.3), "contract"),
        Figure("ours / diffusers, time", compared("ours", "diffusers"), "", (None, 1.0), "prediction"),
        *peaks,
    ]
