"""Pictures by the shipped ControlNets: one condition, several prompts, by the calls that a user makes."""

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image

from controlnet.backbones import Base
from controlnet.checkpoints import load_controlnet
from controlnet.cli._demo.scenes import retold
from controlnet.cli._demo.sheets import Column, Row, sheet
from controlnet.sampling import Control, generate
from controlnet.shapes import View, render
from controlnet.shapes.captions import full_caption
from controlnet.shapes.example import Scenes

COLUMNS: Final = (
    Column("condition"),
    Column("its own words", "full caption"),
    Column("other colours", "same forms, other words"),
    Column("elsewhere", "other floor and sky"),
    Column("all of it", "everything in other words"),
)
PROMPTS: Final = len(COLUMNS) - 1
MOST: Final = 3  # ControlNets shown
SIDE: Final = 192
SEARCHED: Final = 40  # scenes looked through for one that suits


def gallery(
    base: Base,
    names: tuple[str, ...],
    world: int,
    first: int,
    seed: int,
    steps: int,
    advance: Callable[[int], None],
) -> Image.Image:
    """Draw a row for each of these ControlNets, on scenes of a world from index `first` on."""
    rows: list[Row] = []
    chance = np.random.default_rng(seed)
    for name in names[:MOST]:
        view = _view(name, world, first, base.sample_size)
        condition = Image.fromarray(Scenes(world, base.sample_size, name).control_map(view))
        prompts = [
            full_caption(view.scene),
            retold(view.scene, chance, things=True, place=False),
            retold(view.scene, chance, things=False, place=True),
            retold(view.scene, chance, things=True, place=True),
        ]
        control = Control(load_controlnet(name, base).eval(), condition, mode="unbalanced")
        pictures = [condition]
        for prompt in prompts:
            pictures += generate(base, prompt, [control], seed=seed, steps=steps, guidance_scale=4.0)
            advance(1)
        rows.append(Row(name, pictures, ["", *prompts]))
        first += SEARCHED
    return sheet(COLUMNS, rows, SIDE)


def _view(name: str, world: int, first: int, size: int) -> View:
    """Render the first scene that suits: for a pose one with a mannequin, else one with several solids."""
    views = (render(world, index, size) for index in range(first, first + SEARCHED))
    suits = (
        (lambda view: view.scene.figure) if name == "openpose" else (lambda view: len(view.scene.solids) > 1)
    )
    return next(view for view in views if suits(view))
