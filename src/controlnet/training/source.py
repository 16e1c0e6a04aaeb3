"""From the data section of a plan to two data sets: one to train on, one held out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition
from controlnet.data import Circles, FolderDataset, InMemory, Subset, hold_out
from controlnet.data.batch import Dataset
from controlnet.errors import PlanError
from controlnet.shapes.example import Scenes
from controlnet.training.sections import GENERATORS, Data

Pixels = NDArray[np.uint8]
Item = tuple[Pixels, Pixels | None, str]


def open_data(plan: Data, size: int, remember: bool) -> tuple[Subset, Subset]:
    """Return (training, held-out) examples of size × size pixels; `remember` keeps drawn ones in memory.

    Raises PlanError, DataError for a folder that cannot be used, UnknownName for an unknown condition.
    """
    data = _open(plan, size, remember)
    if plan.held_out >= len(data):
        raise PlanError(
            f"data.held_out is {plan.held_out} of {len(data)} examples in {plan.source}; wanted some left to "
            "train on: hold out fewer or give more"
        )
    return hold_out(data, plan.held_out)


def _open(plan: Data, size: int, remember: bool) -> Dataset:
    if plan.source == "shapes":
        if plan.condition is None:
            raise PlanError(
                'data.condition is missing for the source "shapes"; add one, such as condition: canny'
            )
        scenes = Scenes(plan.seed, size, plan.condition)
        drawn = _Drawn(scenes, plan.count or 0, remember)
        return InMemory(drawn, flip=plan.flip, label_map=scenes.label_map)
    annotator = None if plan.condition is None else condition(plan.condition)
    if plan.source == "circles":
        drawn = _Drawn(Circles(plan.seed, size), plan.count or 0, remember)
        return InMemory(drawn, flip=plan.flip, annotator=annotator)
    if not Path(plan.source).exists():
        raise PlanError(
            f"data.source is {plan.source!r}, which is no folder here; wanted a data set folder, or "
            f"{' or '.join(GENERATORS)}"
        )
    return FolderDataset(plan.source, size=size, flip=plan.flip, annotator=annotator)


class _Drawn(Sequence[Item]):
    """Examples of a generator, drawn when asked for, and then kept if `remember`."""

    def __init__(self, draw: Callable[[int], Item], count: int, remember: bool) -> None:
        self._draw, self._count, self._remember = draw, count, remember
        self._kept: dict[int, Item] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        item = self._kept.get(index)
        if item is None:
            item = self._draw(index)
            if self._remember:
                self._kept[index] = item
        return item
