"""From the data section of a plan to two data sets: one to train on, one held out."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Final, overload

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition
from controlnet.data import Buckets, Circles, FolderDataset, InMemory, Subset, hold_out
from controlnet.data.batch import Dataset, Sample
from controlnet.data.buckets import Measured
from controlnet.errors import ControlNetError, PlanError
from controlnet.shapes.example import Scenes
from controlnet.training.sections import GENERATORS, Data

Pixels = NDArray[np.uint8]
Item = tuple[Pixels, Pixels | None, str]
Annotator = Callable[[Pixels], Pixels]

SIDED: Final = (
    "pose",
    "normals",
)  # families whose maps mean left and right, so that a mirror makes them false

_drawings: dict[Hashable, dict[int, Item]] | None = None  # by what draws them; None: kept by nobody


def open_data(
    plan: Data, size: int, remember: bool, annotator: Annotator | None = None
) -> tuple[Subset, Subset]:
    """Return (training, held-out) examples of size × size pixels; `remember` keeps drawn ones in memory.

    With buckets the training examples are of several sizes, and the held-out ones squares all the same, so
    that they can be measured and shown together. Raises PlanError, DataError for a folder that cannot be
    used, UnknownName for an unknown condition.
    """
    data = _open(plan, size, remember, annotator)
    if plan.held_out >= len(data):
        raise PlanError(
            f"data.held_out is {plan.held_out} of {len(data)} examples in {plan.source}; wanted some left to "
            "train on: hold out fewer or give more"
        )
    training, held_out = hold_out(data, plan.held_out)
    if plan.buckets is not None and isinstance(data, FolderDataset):
        squares = copy(data)
        squares.transform = replace(data.transform, size=size)
        held_out = Subset(squares, held_out.indices)
    return training, held_out


@contextmanager
def drawings_kept() -> Iterator[None]:
    """Keep within the block what generators draw, from one run to the next: drawing takes long."""
    global _drawings
    before, _drawings = _drawings, {}
    try:
        yield
    finally:
        _drawings = before


def open_pictures(plan: Data, size: int) -> Dataset:
    """Return all examples for their pictures and captions alone: unmirrored, with no control map made."""
    plain = plan.model_copy(update={"flip": False, "loss_mask": False})
    return _Joined(*open_data(plain, size, remember=False, annotator=_itself))


def buckets_of(plan: Data, size: int) -> Buckets | None:
    """Return the buckets of a plan, if it has any; SettingError where the size does not go with them."""
    return None if plan.buckets is None else Buckets(size, plan.buckets, plan.aspect)


def groups_of(plan: Data, size: int, training: Subset) -> NDArray[np.int16] | None:
    """Return the bucket of each training example, read from the pictures' headers; None without buckets."""
    buckets = buckets_of(plan, size)
    if buckets is None or not isinstance(training.dataset, Measured):
        return None
    return buckets.of(training.dataset, training.indices)


def shards_of(training: Subset) -> NDArray[np.int32] | None:
    """Return the number of each training example's shard; None where they stand in files of their own."""
    found = training.dataset.shards if isinstance(training.dataset, FolderDataset) else None
    return None if found is None else np.asarray(found, np.int32)[training.indices]


class _Joined:
    """One data set after another."""

    def __init__(self, *parts: Dataset) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def example(self, index: int, rng: np.random.Generator) -> Sample:
        for part in self._parts:
            if index < len(part):
                return part.example(index, rng)
            index -= len(part)
        raise IndexError(index)


def _itself(pixels: Pixels) -> Pixels:
    return pixels


def _open(plan: Data, size: int, remember: bool, annotator: Annotator | None = None) -> Dataset:
    if plan.source == "shapes":
        if plan.condition is None:
            raise PlanError(
                'data.condition is missing for the source "shapes"; add one, such as condition: canny'
            )
        _refuse_mirrored(plan, plan.condition)
        scenes = Scenes(plan.seed, size, plan.condition)
        drawn = _Drawn(scenes, plan, size, remember)
        return InMemory(drawn, flip=plan.flip, label_map=scenes.label_map)
    if annotator is None and plan.condition is not None:
        annotator = condition(plan.condition)
    if plan.source == "circles":
        drawn = _Drawn(Circles(plan.seed, size), plan, size, remember)
        return InMemory(drawn, flip=plan.flip, annotator=annotator)
    if not Path(plan.source).exists():
        raise PlanError(
            f"data.source is {plan.source!r}, which is no folder here; wanted a data set folder, or "
            f"{' or '.join(GENERATORS)}"
        )
    data = FolderDataset(
        plan.source,
        size=buckets_of(plan, size) or size,
        flip=plan.flip,
        annotator=annotator,
        masks=plan.loss_mask,
    )
    if annotator is None:  # a map that is made is made of the mirrored picture, and is right
        _refuse_mirrored(plan, data.condition)
    if plan.loss_mask and data[0].mask is None:
        raise PlanError(
            f'data.loss_mask is on and {plan.source} has no masks; add the column "mask" to its '
            "metadata.jsonl, a picture for each example, or switch loss_mask off"
        )
    return data


def _refuse_mirrored(plan: Data, made_by: str | None) -> None:
    """Raise PlanError where maps that were drawn before would be mirrored and mean left and right."""
    if plan.flip and made_by is not None and _family(made_by) in SIDED:
        raise PlanError(
            f"data.flip is on and the maps of {made_by!r} know left from right, which a mirror swaps; set "
            "data.flip to false, or use a folder of pictures and data.condition, whose maps are made after it"
        )


def _family(spec: str) -> str | None:
    if spec == "normal":  # as the embedded world calls its own
        return "normals"
    try:
        return condition(spec.partition("(")[0]).family
    except ControlNetError:  # maps of somebody else's, of which nothing is known
        return None


class _Drawn(Sequence[Item]):
    """Examples of a generator, drawn when asked for, and then kept if `remember`."""

    def __init__(self, draw: Callable[[int], Item], plan: Data, size: int, remember: bool) -> None:
        self._draw, self._count, self._remember = draw, plan.count or 0, remember
        own = (plan.source, plan.seed, plan.condition, size)
        self._kept: dict[int, Item] = {} if _drawings is None else _drawings.setdefault(own, {})

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
