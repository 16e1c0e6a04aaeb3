"""The embedded base beside diffusers' own pipeline: same weights, same settings, in turns.

Expected: the published form of the hint encoder is 11 % of a step here, and diffusers runs it for each row at
each step, hence 1.2× with the whole interval; half of the control saved besides, 1.4×. In a cold process:
12 seconds to the first picture, and no more memory than diffusers.

Pictures are made in processes of their own, one side a process, with one thread each. In a shared one each
side finds the memory that the other has freed, and two threads wait for each other in layers as small as
these, which the processor's time counts as work: ratios moved by a tenth from run to run, and more.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import controlnet as cn
from benchmarks.frame import Figure, Report, median, ratio
from benchmarks.pair import FULL, HALF, NEGATIVE, PROMPT, THREE, Pair, ratios, tasks, versus
from benchmarks.training_step import peak
from controlnet.backbones import Base, locate
from controlnet.checkpoints import save_controlnet

ROOT: Final = Path(__file__).parent.parent
LEAST: Final = {FULL: 1.2, HALF: 1.4}
LEAST_OF_LATENTS: Final = {THREE: 1.6}
ENDS: Final = {FULL: 1.0, HALF: 0.5}
ONCE: Final = """
import json, resource, sys, time
began = time.perf_counter()
kind, base, net, prompt, negative, side, end, more = sys.argv[1:]
import numpy as np
picture, end = np.zeros((int(side), int(side), 3), np.uint8), float(end)
if kind == "ours":
    import controlnet as cn
    base = cn.load_base(base)
    control = cn.Control(cn.load_controlnet(net, base), picture, end=end)
    def make(seed):
        cn.generate(base, prompt, [control], negative_prompt=negative, seed=seed)
else:
    from PIL import Image
    import torch
    from diffusers import DPMSolverMultistepScheduler
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.pipelines.controlnet.pipeline_controlnet import StableDiffusionControlNetPipeline
    absent = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    pipe = StableDiffusionControlNetPipeline.from_pretrained(
        base, controlnet=ControlNetModel.from_pretrained(net), **absent, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = DPMSolverMultistepScheduler.from_config(pipe.scheduler.config)
    def make(seed):
        pipe(prompt, Image.fromarray(picture), num_inference_steps=20, negative_prompt=negative,
             control_guidance_end=end, generator=torch.Generator().manual_seed(seed))
make(7)
seconds, held = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
since = time.process_time()
for seed in range(int(more)):
    make(seed)
each = (time.process_time() - since) / int(more)
print(json.dumps({"seconds": seconds, "bytes": held, "each": each}))
"""


def made(kind: str, folder: Path, net: Path, side: int, end: float, more: int) -> dict[str, float]:
    """Make the first picture in a new process and then some more.

    Returns the seconds until the first, the most memory held by then in bytes, and how many seconds of the
    processor each of the others took.
    """
    told = [str(value) for value in (folder, net, PROMPT, NEGATIVE, side, end, more)]
    done = subprocess.run(
        [sys.executable, "-c", ONCE, kind, *told],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(repeats: int = 3, source: str = "shapes", steps: int = 6, more: int = 4) -> Report:
    """Compare in one process, then in new ones, of which the first, which reads the disk, is dropped."""
    folder, _ = locate(source)
    base: Base = cn.load_base(source)
    pair, wanted = Pair(base, base.sample_size), tasks(steps, steps)
    difference = max(pair.difference(task) for task in wanted.values())
    memory = {
        side: peak(lambda run=run: run(wanted[FULL]))
        for side, run in (("ours", pair.ours), ("theirs", pair.theirs))
    }
    taken = versus(pair, {THREE: wanted[THREE]}, repeats)
    with tempfile.TemporaryDirectory() as place:
        net = Path(place) / "net"
        save_controlnet(pair.net, net, format="diffusers")
        turns = [
            {
                (name, kind): made(kind, folder, net, base.sample_size, end, more)
                for name, end in ENDS.items()
                for kind in ("ours", "diffusers")
            }
            for _ in range(1 + repeats)
        ][1:]
    told = {key: [turn[key] for turn in turns] for key in turns[0]}
    held = {kind: [each["bytes"] for each in told[FULL, kind]] for kind in ("ours", "diffusers")}
    cold = {kind: median(each["seconds"] for each in told[FULL, kind]) for kind in ("ours", "diffusers")}
    each = {key: median(one["each"] for one in runs) for key, runs in told.items()}
    return Report(
        "against_diffusers",
        f"{base.sample_size}×{base.sample_size} on the embedded base beside diffusers: what is saved?",
        [
            Figure(
                "largest difference of latents / largest latent", difference, "", (None, 1e-5), "contract"
            ),
            Figure("a picture of 20 steps, processor time", each[FULL, "ours"], "s"),
            *(
                Figure(
                    f"diffusers / ours, {name}",
                    each[name, "diffusers"] / each[name, "ours"],
                    "×",
                    (least, None),
                    "issue",
                )
                for name, least in LEAST.items()
            ),
            *ratios(taken, LEAST_OF_LATENTS),
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
