"""What a picture costs on the embedded base, and what control adds to it.

Expected: what control adds is what it adds in floating-point operations, counted, give or take a fifth;
without guidance a step is half the arithmetic, but small batches use the cores less well; four pictures
together save some of the time that small kernels lose.
"""

import controlnet as cn
from benchmarks.frame import Figure, Report, about, in_turns, median, operations, ratio
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.shapes import render

PROMPT = "a red cube on a sand floor"
TOGETHER = 4


def measure(
    repeats: int = 5, steps: int = 20, base: Base | None = None, net: ControlNet | None = None
) -> Report:
    """Time whole calls of `generate`, from the prompt to the picture; 128×128 pixels on the embedded base."""
    base = base or cn.load_base("shapes")
    net = (net or cn.load_controlnet("canny", base)).eval()
    edges = cn.annotate("canny", render(seed=2, index=0, size=base.sample_size).image)
    control = [cn.Control(net, edges)]

    def make(controls: list[cn.Control], guidance: float = 7.5, count: int = 1, batch: int = 1) -> None:
        cn.generate(
            base, PROMPT, controls, steps=steps, guidance_scale=guidance, seed=7, count=count, batch=batch
        )

    taken = in_turns(
        {
            "one": lambda: make(control),
            "without": lambda: make([]),
            "unguided": lambda: make(control, guidance=1.0),
            "one by one": lambda: make(control, count=TOGETHER),
            "together": lambda: make(control, count=TOGETHER, batch=TOGETHER),
        },
        repeats,
    )
    one = taken["one"]
    arithmetic = operations(lambda: make(control)) / operations(lambda: make([]))
    side = base.sample_size
    return Report(
        "sampling",
        f"What does a {side}×{side} picture in {steps} steps cost, and control in it?",
        [
            Figure("one picture, one control, guidance", median(one), "s", (None, 6.0), "contract"),
            Figure("the same without control", median(taken["without"]), "s"),
            Figure("with control / without, in floating-point operations", arithmetic, "×"),
            Figure(
                "with control / without",
                ratio(one, taken["without"]),
                "×",
                about(arithmetic),
                "operations",
            ),
            Figure(
                "guidance 1, so one pass a step / two",
                ratio(taken["unguided"], one),
                "×",
                (0.5, 0.75),
                "prediction",
            ),
            Figure(f"{TOGETHER} pictures, one by one", median(taken["one by one"]) / TOGETHER, "s each"),
            Figure(f"{TOGETHER} pictures together", median(taken["together"]) / TOGETHER, "s each"),
            Figure(
                "together / one by one",
                ratio(taken["together"], taken["one by one"]),
                "×",
                (0.6, 0.9),
                "prediction",
            ),
        ],
    )
