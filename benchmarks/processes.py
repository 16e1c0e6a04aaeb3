"""Steps of training in a process of their own, so that only one way to train is in memory at a time.

    python -m benchmarks.processes KIND '{"base": …, "count": 3, …}'

prints the seconds of each step, by the clock and of processor time, and the most resident memory that the
process had in its steps, the first included; loading is over by then, and its peak forgotten.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent
WARM_UP: Final = 1
CLOCKS: Final = ("seconds", "processor")
Taken = dict[str, Any]
"""seconds and processor, a number for each step that counts, and peak in bytes."""


class Meter:
    """Takes the time at the end of each step, and the peak since the beginning of the first."""

    def __init__(self, count: int) -> None:
        self._wanted = 1 + WARM_UP + count
        self._marks: list[tuple[float, float]] = []

    def mark(self) -> bool:
        """Note the beginning, then the end of each step; tell whether there were enough."""
        if not self._marks:
            forget_peak()
        self._marks.append((time.perf_counter(), time.process_time()))
        return len(self._marks) >= self._wanted

    def taken(self) -> Taken:
        """Return what was measured."""
        counted = self._marks[WARM_UP:]
        pairs = list(pairwise(counted))
        found = {name: [end[i] - start[i] for start, end in pairs] for i, name in enumerate(CLOCKS)}
        return {**found, "peak": peak()}


def forget_peak() -> None:
    """Let the system count the peak of resident memory anew, where it can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak() -> int:
    """Return the most resident memory since `forget_peak`, in bytes."""
    table = Path("/proc/self/status")
    if table.is_file():
        for line in table.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def once(kind: str, **settings: Any) -> Taken:
    """Run one kind in a new process."""
    command = [sys.executable, "-m", "benchmarks.processes", kind, json.dumps(settings, default=str)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process of {kind} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def in_processes(kinds: Sequence[str], repeats: int, **settings: Any) -> dict[str, list[Taken]]:
    """Run each kind `repeats` times, in turns, one at a time."""
    turns = [{kind: once(kind, **settings) for kind in kinds} for _ in range(repeats)]
    return {kind: [turn[kind] for turn in turns] for kind in kinds}


def follow(step: Callable[[], object], count: int) -> Taken:
    """Measure a step."""
    meter = Meter(count)
    while not meter.mark():
        step()
    return meter.taken()


def _reference(settings: Mapping[str, Any]) -> Taken:
    import torch

    from benchmarks.reference_loop import ReferenceLoop
    from benchmarks.trainers import examples

    torch.manual_seed(0)
    folder = Path(settings["base"])
    loop = ReferenceLoop(folder, examples(Path(settings["data"])), settings["batch"])
    return follow(loop.step, settings["count"])


def _trainer(settings: Mapping[str, Any]) -> Taken:
    from benchmarks.trainers import follow_plan

    return follow_plan(Meter(settings["count"]), settings)


def _step(kind: str, settings: Mapping[str, Any]) -> Taken:
    from benchmarks.training_step import Trial

    given = {name: settings[name] for name in ("source", "batch", "side", "hint")}
    trial = Trial(kind, **given)
    step = trial.step()
    trial.fuse(False)
    taken = follow(step, settings["count"])
    trial.fuse(True)
    return taken | {"fused": follow(step, settings["count"])}


if __name__ == "__main__":
    kind, settings = sys.argv[1], json.loads(sys.argv[2])
    ways = {"reference": _reference, "trainer": _trainer}
    print(json.dumps(ways[kind](settings) if kind in ways else _step(kind, settings)))
