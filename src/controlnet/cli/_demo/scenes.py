"""The demo's scenes: rendered to a data set on disk, and told again in other words."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from controlnet.data import generate
from controlnet.data.manifest import METADATA, lines
from controlnet.shapes.captions import full_caption
from controlnet.shapes.example import Scenes
from controlnet.shapes.palette import COLOURS, FLOORS, SKIES
from controlnet.shapes.scene import Scene

WORKERS: Final = 2


def render_set(folder: Path, world: int, count: int, size: int, condition: str) -> Iterator[int]:
    """Render scenes 0 … count − 1 into a data set, giving the number there at the start and after each."""
    scenes = Scenes(world, size, condition)
    workers = WORKERS if count > 64 else 1  # a process takes a second to start
    with closing(generate(folder, scenes, count, scenes.provenance(), workers)) as steps:
        yield from steps


def holds(folder: Path) -> int:
    """Count the scenes of a data set on disk."""
    return sum(1 for _ in lines(folder)) if (folder / METADATA).is_file() else 0


def retold(scene: Scene, chance: np.random.Generator, things: bool, place: bool) -> str:
    """Describe a scene of the same forms with other colours, or on another floor under another sky."""
    if things:
        new = _others(chance, list(COLOURS), [solid.colour for solid in scene.solids])
        solids = tuple(replace(solid, colour=colour) for solid, colour in zip(scene.solids, new, strict=True))
        figure = scene.figure
        if figure is not None:
            shirt, trousers = _others(chance, list(COLOURS), [figure.shirt, figure.trousers])
            figure = replace(figure, shirt=shirt, trousers=trousers)
        scene = replace(scene, solids=solids, figure=figure)
    if place:
        (floor,), (sky,) = (
            _others(chance, list(FLOORS), [scene.floor]),
            _others(chance, list(SKIES), [scene.sky]),
        )
        scene = replace(scene, floor=floor, sky=sky)
    return full_caption(scene)


def _others(chance: np.random.Generator, names: list[str], taken: list[str]) -> list[str]:
    """Draw as many other names as are taken, all different."""
    left = [name for name in names if name not in taken]
    return [str(name) for name in chance.permutation(left)[: len(taken)]]
