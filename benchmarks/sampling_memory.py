"""Memory: whether it grows from picture to picture, and what the VAE's tiles save and change.

Expected: nothing is kept of a picture, so that 180 more add no more than what the allocator scatters, 16 MiB;
tiles of half the side need less than half of the decoder's memory, and change by less than a grey level what
has no norm and no attention, as the embedded VAE.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import torch

import controlnet as cn
from benchmarks.frame import Figure, Report
from benchmarks.training_step import peak
from controlnet.backbones import Base
from controlnet.shapes import render

ROOT: Final = Path(__file__).parent.parent
SOME, MANY = 20, 200
SIDE, TILE = 512, 256
MANY_TIMES: Final = """
import json, sys
import numpy as np
import controlnet as cn
source, some, many = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
base = cn.load_base(source)
net = cn.load_controlnet("canny", base) if source == "shapes" else cn.ControlNet.from_base(base)
picture = np.zeros((base.sample_size, base.sample_size, 3), np.uint8)
def held():
    for line in open("/proc/self/status"):
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
found = {}
for number in range(1, many + 1):
    cn.generate(base, f"a red cube {number}", [cn.Control(net, picture)], steps=2, seed=number)
    if number in (some, many):
        found[number] = held()
print(json.dumps(found))
"""


def held_after(source: str = "shapes", some: int = SOME, many: int = MANY) -> tuple[int, int]:
    """Return the bytes that a new process holds after some pictures and after many."""
    command = [sys.executable, "-c", MANY_TIMES, source, str(some), str(many)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return found[str(some)], found[str(many)]


def measure(repeats: int = MANY, base: Base | None = None) -> Report:
    """Make `repeats` pictures, all different; then encode and decode a large picture whole and in tiles."""
    source = "shapes"
    early, late = held_after(source, max(1, repeats // 10), repeats)
    base = base or cn.load_base(source)
    pixels = torch.from_numpy(render(2, 0, SIDE).image).permute(2, 0, 1)[None] / 127.5 - 1
    latents = base.encode_pixels(pixels)
    whole, memory = base.decode_latents(latents), peak(lambda: base.decode_latents(latents))
    base.tile_vae(TILE)
    tiles, less = base.decode_latents(latents), peak(lambda: base.decode_latents(latents))
    encoded = (base.encode_pixels(pixels) - latents).abs().mean() / latents.abs().mean()
    away = (tiles - whole).abs() * 127.5
    return Report(
        "sampling_memory",
        f"Does memory grow over {repeats} pictures, and what do the VAE's tiles save and change?",
        [
            Figure(f"held after {max(1, repeats // 10)} pictures", early / 2**20, "MiB"),
            Figure(f"more after {repeats}", (late - early) / 2**20, "MiB", (None, 16.0), "prediction"),
            Figure(f"decoding {SIDE}×{SIDE}: peak memory", memory / 2**20, "MiB"),
            Figure(f"in tiles of {TILE} / whole", less / memory, "×", (None, 0.5), "prediction"),
            Figure("mean difference of pixels, of 255", float(away.mean()), "", (None, 1.0), "prediction"),
            Figure("largest difference of pixels, of 255", float(away.max()), ""),
            Figure("mean difference of encoded latents / their mean size", float(encoded), ""),
        ],
    )
