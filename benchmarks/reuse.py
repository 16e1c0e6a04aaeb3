"""What approximate speed costs: time against adherence and pixels, on scenes that no network has seen.

Adherence is the edge F1 by which the embedded canny ControlNet is measured, sampled as there (`unbalanced`,
guidance 3). Each way samples the same scenes from the same noise, chunk by chunk in turns; ratios are of
processor time. Beside reuse stands what everybody has: fewer steps. (`--repeats` is the number of scenes.)

Expected: the outermost layers are a tenth to a fifth of a step, so that with every third or fourth step whole
1.8× is within reach; at most two points of adherence are lost; and at equal time reuse stays nearer to the
exact picture than fewer steps do, deep:3 within 1.1 grey levels.
"""

import time
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

import controlnet as cn
from benchmarks.frame import Figure, Report, in_turns, ratio
from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.evaluation.metrics.edge_f1 import EdgeF1
from controlnet.sampling import sample_latents
from controlnet.sampling.images import to_condition, to_pictures
from controlnet.shapes import View, render

WORLD: Final = 2  # kept for measuring
CHUNK: Final = 4
EXACT: Final = "all of 20 steps"
POINTS: Final = 2.0  # of adherence, of a hundred, that may be lost
WAYS: Final[dict[str, tuple[int, str | None]]] = {
    EXACT: (20, None),
    "10 steps": (10, None),
    "7 steps": (7, None),
    **{f"reuse={name}": (20, name) for name in ("residuals:2", "residuals:4")},
    **{f"reuse={name}": (20, name) for name in ("deep:2", "deep:3", "deep:4", "deep:5")},
}
NEAR: Final = {"reuse=deep:3": (None, 1.1)}
FAST: Final = {"reuse=deep:4": (1.8, None)}  # the times that are promised

Pixels = NDArray[np.uint8]


def measure(repeats: int = 24, base: Base | None = None, net: ControlNet | None = None) -> Report:
    """Sample `repeats` scenes in each way."""
    base = base or cn.load_base("shapes")
    net = (net or cn.load_controlnet("canny", base)).eval()
    side = base.sample_size
    views = [render(WORLD, index, side) for index in range(repeats)]
    edges = [cn.annotate("canny", view.image) for view in views]
    made: dict[str, list[Pixels]] = {name: [] for name in WAYS}
    taken: dict[str, list[float]] = {name: [] for name in WAYS}

    def sample(name: str, rows: range) -> None:
        made[name] += _sampled(base, net, [(views[row], edges[row]) for row in rows], rows, name)

    for name in WAYS:  # the first calls of a kind take longer; they are made again
        sample(name, range(1))
        made[name].clear()
    for first in range(0, repeats, CHUNK):
        rows = range(first, min(first + CHUNK, repeats))
        actions = {name: lambda name=name, rows=rows: sample(name, rows) for name in WAYS}
        for name, times in in_turns(actions, 1, 0, time.process_time).items():
            taken[name] += times
    scores = {name: _scores(pictures, edges) for name, pictures in made.items()}
    figures = [Figure(f"edge F1, {EXACT}", float(100 * scores[EXACT].mean()), "points")]
    for name in list(WAYS)[1:]:
        lost = 100 * (scores[EXACT] - scores[name])
        away = [np.abs(a.astype(float) - b).mean() for a, b in zip(made[name], made[EXACT], strict=True)]
        figures += [
            Figure(f"{name}: times as fast", ratio(taken[EXACT], taken[name]), "×", FAST.get(name), "issue"),
            Figure(f"{name}: adherence lost", float(lost.mean()), "points", (None, POINTS), "issue"),
            Figure(f"{name}: standard error of that", float(lost.std() / len(lost) ** 0.5), "points"),
            Figure(
                f"{name}: mean difference of pixels, of 255",
                float(np.mean(away)),
                "",
                NEAR.get(name),
                "prediction",
            ),
        ]
    return Report("reuse", f"What does approximate speed cost ({repeats} held-out scenes)?", figures)


def _sampled(
    base: Base, net: ControlNet, scenes: list[tuple[View, Pixels]], seeds: range, name: str
) -> list[Pixels]:
    side = (base.sample_size, base.sample_size)
    hints = torch.cat([to_condition(edge, side) for _, edge in scenes])
    latents = sample_latents(
        base,
        base.encode_prompts([view.caption for view, _ in scenes]),
        None,
        [cn.Control(net, hints, mode="unbalanced")],
        seeds=seeds,
        size=side,
        guidance_scale=3.0,
        steps=WAYS[name][0],
        reuse=WAYS[name][1],
    )
    return [np.asarray(picture) for picture in to_pictures(base.decode_latents(latents))]


def _scores(pictures: list[Pixels], edges: list[Pixels]) -> NDArray[np.float64]:
    found: list[float] = []
    for picture, edge in zip(pictures, edges, strict=True):
        metric = EdgeF1()
        metric.update(picture, edge, "")
        found.append(metric.compute()["edge_f1"])
    return np.array(found)
