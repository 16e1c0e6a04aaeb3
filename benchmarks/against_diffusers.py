"""The embedded base beside diffusers' own pipeline: same weights, same settings, in turns.

Expected: the published form of the hint encoder is 11 % of a step here, and diffusers runs it for each row at
each step, hence 1.2× with the whole interval; half of the control saved besides, 1.4×. In a cold process:
12 seconds to the first picture, and no more memory than diffusers.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import controlnet as cn
from benchmarks.frame import Figure, Report, median, ratio
from benchmarks.pair import FULL, HALF, PROMPT, THREE, Pair, ratios, tasks, versus
from benchmarks.training_step import peak
from controlnet.backbones import Base, locate
from controlnet.checkpoints import save_controlnet

ROOT: Final = Path(__file__).parent.parent
LEAST: Final = {FULL: 1.2, HALF: 1.4, THREE: 1.6}
ONCE: Final = """
import json, resource, sys, time
began = time.perf_counter()
kind, base, net, prompt, side = sys.argv[1:]
import numpy as np
picture = np.zeros((int(side), int(side), 3), np.uint8)
if kind == "ours":
    import controlnet as cn
    base = cn.load_base(base)
    control = cn.Control(cn.load_controlnet(net, base), picture)
    cn.generate(base, prompt, [control], seed=7)
else:
    from PIL import Image
    import torch
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    pipe = StableDiffusionControlNetPipeline.from_pretrained(
        base, controlnet=ControlNetModel.from_pretrained(net), **absent, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    pipe(prompt, Image.fromarray(picture), num_inference_steps=20, generator=torch.Generator().manual_seed(7))
seconds, held = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"seconds": seconds, "processor": time.process_time(), "bytes": held}))
"""


def once(kind: str, folder: Path, net: Path, side: int) -> dict[str, float]:
    """Make the first picture in a new process: seconds, seconds of the processor, the most memory held."""
    command = [sys.executable, "-c", ONCE, kind, str(folder), str(net), PROMPT, str(side)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(repeats: int = 3, source: str = "shapes", steps: int = 6) -> Report:
    """Compare in one process, then in new ones, of which the first, which reads the disk, is dropped."""
    folder, _ = locate(source)
    base: Base = cn.load_base(source)
    pair, wanted = Pair(base, base.sample_size), tasks(steps, steps)
    difference = max(pair.difference(task) for task in wanted.values())
    memory = {
        side: peak(lambda run=run: run(wanted[FULL]))
        for side, run in (("ours", pair.ours), ("theirs", pair.theirs))
    }
    taken = versus(pair, wanted, repeats)
    with tempfile.TemporaryDirectory() as place:
        net = Path(place) / "net"
        save_controlnet(pair.net, net, format="diffusers")
        starts = [
            {kind: once(kind, folder, net, base.sample_size) for kind in ("ours", "diffusers")}
            for _ in range(1 + repeats)
        ][1:]
    first = {kind: [start[kind] for start in starts] for kind in starts[0]}
    held = {kind: [each["bytes"] for each in runs] for kind, runs in first.items()}
    cold = {kind: median(each["seconds"] for each in runs) for kind, runs in first.items()}
    return Report(
        "against_diffusers",
        f"{base.sample_size}×{base.sample_size} on the embedded base beside diffusers: what is saved?",
        [
            Figure(
                "largest difference of latents / largest latent", difference, "", (None, 1e-5), "contract"
            ),
            *ratios(taken, LEAST),
            Figure(
                "peak memory of a call beyond the weights, ours / diffusers",
                memory["ours"] / memory["theirs"],
                "×",
                (None, 1.0),
                "issue",
            ),
            Figure("first picture of 20 steps from a cold process", cold["ours"], "s", (None, 12.0), "issue"),
            Figure("the same with diffusers", cold["diffusers"], "s"),
            Figure(
                "peak memory of that process, ours / diffusers",
                ratio(held["ours"], held["diffusers"]),
                "×",
                (None, 1.0),
                "issue",
            ),
            Figure("peak memory of that process, ours", median(held["ours"]) / 2**20, "MiB"),
        ],
    )
