"""What is evaluated on: the examples of a data set, or of the embedded world, under one condition."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.data import FolderDataset
from controlnet.data.manifest import METADATA
from controlnet.errors import DataError, SettingError, ShapeError
from controlnet.shapes import render
from controlnet.shapes.captions import caption as caption_of
from controlnet.shapes.example import TRUE_MAPS, Scenes
from controlnet.shapes.scene import draw_scene

Pixels = NDArray[np.uint8]

SHAPES: Final = "shapes"
WORLD: Final = 2  # kept for measuring: base, judge and shipped ControlNets learned from world 1
ENDLESS: Final = 1_000_000


@dataclass(frozen=True)
class Case:
    """One example: its number, its true picture, the condition map (both H×W×3 uint8), its caption."""

    index: int
    truth: Pixels
    condition: Pixels
    caption: str


@final
class Cases:
    """The first `count` examples of a data set, all of one size, under a condition.

    data: "shapes" for scenes of the embedded world that nothing was trained on, or a data set's folder.
    condition: a spec such as "canny(low=50)"; maps that the folder stores for it are taken, others are made
    from the true pictures; None takes the stored ones. size: side in pixels. Raises SettingError, DataError,
    UnknownName.
    """

    def __init__(self, data: str | Path, condition: str | None, size: int, count: int) -> None:
        if count < 1:
            raise SettingError(f"got {count} examples to evaluate; wanted at least 1")
        self.data, self.size = str(data), size
        if self.data == SHAPES:
            if condition is None:
                raise SettingError('the embedded world wants a condition, such as "canny" or "openpose"')
            self.condition, self.total, self.count = condition, ENDLESS, count
            self.spec = f"shapes_{condition}" if condition in TRUE_MAPS else condition
            scenes = Scenes(WORLD, size, condition)
            self._read: Callable[[int], Case] = lambda index: _rendered(scenes, index)
            self._caption: Callable[[int], str] = _scene_caption
            self._origin = f"world {WORLD}"
        else:
            folder, stored = Path(data), FolderDataset(data, size=size, annotator=lambda pixels: pixels)
            made_with = _stored(stored)
            self.condition = condition or made_with or ""
            if not self.condition:
                raise SettingError(
                    f"{folder} does not tell what its control maps are; name their condition, such as canny"
                )
            own = condition is None or condition == made_with
            rendered = stored[0].provenance.get("generator") == SHAPES
            known = self.condition in TRUE_MAPS and rendered  # a "scribble" of photographs is another thing
            self.spec = f"shapes_{self.condition}" if known else self.condition
            annotator = None if own and stored[0].conditioning is not None else condition_named(self.spec)
            examples = FolderDataset(folder, size=size, annotator=annotator)
            self.total, self.count = len(examples), min(count, len(examples))
            self._read = lambda index: _read(examples, index)
            self._caption = lambda index: examples[index].caption
            self._origin = _digest(folder)
        self._kept = lru_cache(maxsize=64)(self._read)

    def __len__(self) -> int:
        """Count the examples that are evaluated."""
        return self.count

    def __getitem__(self, index: int) -> Case:
        """Read an example."""
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self._kept(index)

    def under(self, condition: str) -> "Cases":
        """Return the same examples under another condition."""
        return Cases(self.data, condition, self.size, self.count)

    def caption(self, index: int) -> str:
        """Return the caption of any example of the data set, evaluated or not."""
        return self._caption(index)

    def identity(self) -> dict[str, str | int]:
        """Tell what the examples are, apart from how many of them are taken."""
        return {"data": self.data, "origin": self._origin, "size": self.size}


def _stored(examples: FolderDataset) -> str | None:
    """Return the condition that the stored maps were made with, if the records tell."""
    if not len(examples):
        raise DataError(f"{examples.folder} has no example that can be used")
    spec = examples[0].provenance.get("condition")
    return spec if isinstance(spec, str) and examples[0].conditioning is not None else None


def _rendered(scenes: Scenes, index: int) -> Case:
    view = render(scenes.seed, index, scenes.size)
    return Case(index, view.image, scenes.control_map(view), view.caption)


@lru_cache(maxsize=4096)
def _scene_caption(index: int) -> str:
    return caption_of(draw_scene(WORLD, index), np.random.default_rng([WORLD, index, 1]))


def _read(examples: FolderDataset, index: int) -> Case:
    sample = examples.example(index, np.random.default_rng(index))
    truth = ((sample.pixels.numpy() + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    condition = (sample.condition.numpy() * 255).round().clip(0, 255).astype(np.uint8)
    if truth.shape != condition.shape:
        raise ShapeError(f"example {index} has a map of {condition.shape} for a picture of {truth.shape}")
    return Case(index, truth.transpose(1, 2, 0).copy(), condition.transpose(1, 2, 0).copy(), sample.caption)


def _digest(folder: Path) -> str:
    """Name the content of a data set by its manifest, or by its shards' names and sizes."""
    manifest = folder / METADATA
    if manifest.is_file():
        with manifest.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    told = "".join(f"{path.name} {path.stat().st_size}\n" for path in sorted(folder.glob("*.tar")))
    return hashlib.sha256(told.encode()).hexdigest()[:16]
