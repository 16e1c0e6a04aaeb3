"""How much of a training run is waiting for data: reading, decoding, cutting, drawing the condition.

The trainer itself, for some steps on the embedded base, from a folder of 512×512 pictures whose edges are
drawn while training, which is the most that a data set asks for. Its timing.jsonl says how long it waited.
Batches are made ahead by two threads, so that the wait was expected under 2 % of the time (contract), whether
latents and captions are remembered or encoded at each step. How far that holds on faster machines is told by
how many times as many batches as the run takes one thread makes by itself.
"""

import json
import tempfile
from pathlib import Path
from time import process_time
from typing import TYPE_CHECKING, Final

from benchmarks.frame import Figure, Report, median

if TYPE_CHECKING:
    from controlnet.training import TrainingPlan

SIDE: Final = 512
SHARE: Final = 2.0  # percent
BATCHES: Final = 4
SKIPPED: Final = 2  # steps, of which the first has nothing made ahead


def measure(repeats: int = 3, steps: int = 12, base: str = "shapes", side: int = SIDE) -> Report:
    """Run the trainer with each cache in turns."""
    from benchmarks.trainers import write_data
    from controlnet.backbones import load_base

    trained = load_base(base).sample_size
    shares: dict[str, list[float]] = {"memory": [], "none": []}
    spare: list[float] = []
    with tempfile.TemporaryDirectory() as place:
        data = write_data(Path(place) / "data", side, 24)
        for turn in range(repeats):
            for cache, found in shares.items():
                share, step, batch = run(Path(place) / f"{cache}-{turn}", data, base, cache, steps, trained)
                found.append(100 * share)
                spare.append(step / batch)
    return Report(
        "feeding",
        f"How much of a run is waiting for data ({side}² pictures, edges drawn, batch 4)?",
        [
            *(
                Figure(f"waiting, cache: {cache}", median(found), "%", (None, SHARE), "contract")
                for cache, found in shares.items()
            ),
            Figure("processor time, a step / making its batch", median(spare), "×", (4, None), "prediction"),
        ],
    )


def run(out: Path, data: Path, base: str, cache: str, steps: int, side: int) -> tuple[float, float, float]:
    """Train; return the share of the time spent waiting, and the processor's seconds of step and batch."""
    from controlnet.training import TrainingPlan, train

    plan = TrainingPlan.of(
        {
            "name": "feeding",
            "base": base,
            "data": {"source": str(data), "condition": "canny", "held_out": 2, "cache": cache},
            "watch": {"gain_every": 0, "preview_every": 0, "page": False},
            "save": {"every": steps},
            "steps": steps,
            "device": "cpu",
            "out": str(out),
        }
    )
    ends: list[float] = []
    train(plan, on_event=lambda event: ends.append(process_time()) if event.kind == "step" else None)
    lines = [json.loads(line) for line in (out / "timing.jsonl").read_text(encoding="utf-8").splitlines()]
    first, last = lines[SKIPPED - 1], lines[-1]
    share = (last["waited"] - first["waited"]) / (last["seconds"] - first["seconds"])
    return share, (ends[-1] - ends[0]) / (len(ends) - 1), _batch(plan, side)


def _batch(plan: "TrainingPlan", size: int) -> float:
    """Return the processor's seconds that one thread takes for a batch."""
    from controlnet.data import Loader
    from controlnet.training.source import open_data

    training, _ = open_data(plan.data, size, remember=False)
    loader = Loader(training, plan.optim.batch, prefetch=0)
    began = process_time()
    for step in range(BATCHES):
        loader.batch(step)
    return (process_time() - began) / BATCHES
