"""How long it takes until there is a base, in a cold process and in one that has loaded one before.

In a cold process the libraries are imported first: torch, then diffusers and transformers with what they
import in their turn (torch's compiler among it, which alone takes as long as torch). No call of ours avoids
that while the networks are diffusers' own classes.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.frame import Figure, Report, median

ROOT = Path(__file__).parent.parent
ONCE = """
import json, sys, time
def timed(action):
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
found = {"torch": timed(lambda: __import__("torch"))}
import controlnet as cn
source = sys.argv[1]
found["cold"] = timed(lambda: cn.load_base(source))
found["processor"] = time.process_time()
found["warm"] = min(timed(lambda: cn.load_base(source)) for _ in range(3))
if source == "shapes":
    base = cn.load_base(source)
    cn.load_controlnet("canny", base)
    found["control"] = min(timed(lambda: cn.load_controlnet("canny", base)) for _ in range(3))
print(json.dumps(found))
"""


def once(source: str = "shapes") -> dict[str, float]:
    """Load in a new process: seconds to import torch, to the first base, to a second one, to a ControlNet."""
    done = subprocess.run(
        [sys.executable, "-c", ONCE, source], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def help_page() -> float:
    """Return the seconds that `controlnet --help` takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "controlnet", "--help"], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - began


def measure(repeats: int = 5, source: str = "shapes") -> Report:
    """Take the medians over some new processes; a first one, which reads the disk, does not count."""
    once(source)
    runs = [once(source) for _ in range(repeats)]
    imports = median(run["cold"] - run["warm"] for run in runs)
    figures = [
        Figure(
            "weights: load_base where another was loaded",
            median(run["warm"] for run in runs),
            "s",
            (None, 2.0),
            "contract",
        ),
        Figure("import torch", median(run["torch"] for run in runs), "s"),
        Figure("import diffusers and transformers, inside load_base", imports, "s"),
        Figure(
            "load_base in a cold process, torch included",
            median(run["torch"] + run["cold"] for run in runs),
            "s",
        ),
        Figure("processor time of that", median(run["processor"] for run in runs), "s"),
        Figure(
            "controlnet --help", median(help_page() for _ in range(repeats)), "s", (None, 0.7), "contract"
        ),
    ]
    if "control" in runs[0]:
        control = median(run["control"] for run in runs)
        figures.insert(1, Figure("weights: load_controlnet", control, "s", (None, 2.0), "contract"))
    return Report("loading", "How long until there is a base?", figures)
