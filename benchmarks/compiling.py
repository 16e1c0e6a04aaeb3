"""Is torch.compile worth it in sampling, on a CPU?

Expected: nothing. Convolutions and products of matrices are most of a step, and torch's compiler leaves them
to the kernels that are called anyway; a trial before this project gave nothing after minutes of compiling.
Each side has a base of its own, compiled block by block, as training does with `engine.compile`.
"""

from collections.abc import Callable
from time import process_time
from typing import Final

import numpy as np
from numpy.typing import NDArray

import controlnet as cn
from benchmarks.frame import Figure, Report, in_turns, median, ratio
from controlnet.shapes import render
from controlnet.training.layout import compile_blocks

STEPS: Final = 10
OFFERED: Final = 0.9
"""Of the usual time: above that it is not worth an option."""


def measure(repeats: int = 5, source: str = "shapes", steps: int = STEPS) -> Report:
    """Time whole pictures in turns, by processor time, after a first one that compiles."""
    usual, compiled = (_maker(source, steps, compiles) for compiles in (False, True))
    first = in_turns({"": compiled}, 1, 0)[""][0]
    apart = np.abs(usual().astype(int) - compiled().astype(int))
    taken = in_turns({"usual": usual, "compiled": compiled}, repeats, 1, process_time)
    return Report(
        "compiling",
        f"Is torch.compile worth it for a picture in {steps} steps?",
        [
            Figure("the first picture, compiling", first, "s"),
            Figure("a picture, usual, processor time", median(taken["usual"]), "s"),
            Figure(
                "compiled / usual",
                ratio(taken["compiled"], taken["usual"]),
                "×",
                (OFFERED, None),
                "trial",
            ),
            Figure("largest difference of pixels, of 255", float(apart.max()), ""),
        ],
    )


def _maker(source: str, steps: int, compiles: bool) -> Callable[[], NDArray[np.uint8]]:
    base = cn.load_base(source)
    net = cn.load_controlnet("canny", base).eval()
    edges = cn.annotate("canny", render(seed=2, index=0, size=base.sample_size).image)
    if compiles:
        compile_blocks(base.network, net.copy)

    def make() -> NDArray[np.uint8]:
        [picture] = cn.generate(
            base, "a red cube on a sand floor", [cn.Control(net, edges)], steps=steps, seed=7
        )
        return np.asarray(picture)

    return make
