"""A step of our trainer, as `controlnet train` takes it, beside one of diffusers' (reference_loop.py).

The same base, the same pictures, conditions and captions, the same batch, single precision, AdamW. Ours is
the trainer itself, with all that it does at a step and its defaults, caches among them; what is measured and
shown of held-out examples is off, as validation is in the other. Filling the cache comes before the first
step and is not counted: it costs each picture once what the reference loop pays at every step.

What to expect: what is left out is reading, VAE and text encoder, about 2.3 s of 10.6 s on Stable Diffusion
1.5's architecture in a trial, hence 1.28×; the rest of a step is the same arithmetic. On the embedded base
the autoencoder is larger beside the U-Net. In memory ours lacks the encoders, once the cache is filled, and
the gradients while it goes forward, which the other keeps at zero.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.frame import Figure, Report, median, ratio
from benchmarks.processes import Meter, Taken, in_processes

HELD_OUT: Final = 2


class Enough(Exception):
    """Ends a run without saving."""


def write_data(folder: Path, side: int, count: int) -> Path:
    """Write pictures, conditions and captions, of the size that is trained at."""
    from controlnet.data.circles import draw
    from controlnet.data.manifest import DatasetWriter

    with DatasetWriter(folder) as writer:
        for index in range(count):
            ring, disc, _ = draw(0, index, side)
            writer.add(disc, ring, f"circle {index}", {"index": index})
    return folder


def examples(folder: Path) -> list[tuple[Path, Path, str]]:
    """List what the trainer trains on: the last few are held out."""
    from controlnet.data.manifest import METADATA

    lines = (folder / METADATA).read_text(encoding="utf-8").splitlines()[:-HELD_OUT]
    found = [json.loads(line) for line in lines]
    return [(folder / each["file_name"], folder / each["conditioning"], each["caption"]) for each in found]


def follow_plan(meter: Meter, settings: Mapping[str, Any]) -> Taken:
    """Run the trainer until the meter has enough."""
    from controlnet.training import TrainingPlan, train

    os.environ["CONTROLNET_CACHE"] = settings["cache"]
    with tempfile.TemporaryDirectory() as out:
        plan = TrainingPlan.of(
            {
                "name": "steps",
                "base": settings["base"],
                "data": {"source": settings["data"], "size": settings["side"], "held_out": HELD_OUT},
                "optim": {"batch": settings["batch"]},
                "watch": {"gain_every": 0, "preview_every": 0, "page": False},
                "steps": 10_000,
                "device": "cpu",
                "out": out,
            }
        )

        def listen(event: Any) -> None:
            if event.kind in ("begin", "step") and meter.mark():
                raise Enough

        try:
            train(plan, on_event=listen)
        except Enough:
            return meter.taken()
    raise RuntimeError("the run ended before it was measured")


def figures(
    taken: Mapping[str, Sequence[Taken]], faster: float, smaller: float | None = None, who: str = "contract"
) -> list[Figure]:
    """Compare the two: faster is the least ratio of steps a second, smaller the most of peak memory."""
    middle = {
        kind: {
            "seconds": [median(turn["seconds"]) for turn in turns],
            "processor": [median(turn["processor"]) for turn in turns],
            "peak": [float(turn["peak"]) for turn in turns],
        }
        for kind, turns in taken.items()
    }
    ours, other = middle["trainer"], middle["reference"]
    names = (("trainer", ours), ("reference loop", other))
    return [
        *(Figure(f"{name}, by the clock", median(each["seconds"]), "s a step") for name, each in names),
        *(Figure(f"{name}, processor time", median(each["processor"]), "s a step") for name, each in names),
        *(
            Figure(f"steps a second, {how}", ratio(other[clock], ours[clock]), "×", (faster, None), who)
            for clock, how in (("seconds", "by the clock"), ("processor", "of processor time"))
        ),
        *(Figure(f"{name}, peak memory", median(each["peak"]) / 1e9, "GB") for name, each in names),
        Figure(
            "peak memory, trainer / reference loop",
            ratio(ours["peak"], other["peak"]),
            "×",
            (None, smaller or 1.0),
            who if smaller else "prediction",
        ),
    ]


def measure(repeats: int = 3, batch: int = 4, count: int = 8, base: str = "shapes") -> Report:
    """Compare on the embedded base, each turn in new processes."""
    from controlnet.backbones import load_base, locate

    side = load_base(base).sample_size
    with tempfile.TemporaryDirectory() as place:
        taken = compare(Path(place), locate(base)[0], repeats, side, batch, count)
    return Report(
        "trainers",
        f"What does our trainer's step cost beside diffusers' trainer's ({side}², batch {batch})?",
        figures(taken, 1.5),
    )


def compare(
    place: Path, base: Path, repeats: int, side: int, batch: int, count: int
) -> dict[str, list[Taken]]:
    """Write the data and run both in turns."""
    # One batch of examples, so that the first step, which does not count, is the first epoch.
    data, cache = write_data(place / "data", side, batch + HELD_OUT), place / "cache"
    settings = {"base": base, "data": data, "cache": cache, "side": side, "batch": batch, "count": count}
    return in_processes(("trainer", "reference"), repeats, **settings)


def measure_sd15(repeats: int = 3, count: int = 2, side: int = 256) -> Report:
    """Compare on Stable Diffusion 1.5's architecture; about 11 GB, one process at a time."""
    from benchmarks.random_base import write_base

    with tempfile.TemporaryDirectory() as place:
        base = write_base(Path(place) / "base")
        taken = compare(Path(place), base, repeats, side, 1, count)
    return Report(
        "trainers_sd15",
        f"The same on Stable Diffusion 1.5's architecture with random weights ({side}², batch 1)",
        figures(taken, 1.3, 0.85),
    )
