"""The pictures of which a gallery shows the maps: photographs and scenes of the embedded world."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from controlnet.conditions._image import Pixels, resized, to_array

if TYPE_CHECKING:
    from controlnet.shapes.render import View

# Of those that come with scikit-image, all in the public domain or CC0: a person, a pattern, a table, a cat.
BUNDLED: Final = ("astronaut.png", "rocket.jpg", "coffee.png", "chelsea.png")
WORLD: Final = 2  # of the scenes: kept for measuring, so that the judge has not seen them
LARGEST: Final = 768  # pixels along the short side of a photograph; larger ones are made smaller
SEARCHED: Final = 60  # scenes looked through for those that show most


@dataclass(frozen=True, eq=False)
class Subject:
    """A picture with a name."""

    name: str
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Group:
    """Pictures that belong together, as many in each group of a gallery; `title` says what they are."""

    title: str
    subjects: tuple[Subject, ...]


@dataclass(frozen=True)
class Groups:
    """What conditions are shown on: most on pictures, some on what they are meant for."""

    pictures: Group
    scenes: Group
    depths: Group


def bundled() -> list[Path]:
    """Return the photographs that come with scikit-image, none where it is not installed."""
    found = find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        return []
    folder = Path(found.submodule_search_locations[0]) / "data"
    return [folder / name for name in BUNDLED if (folder / name).is_file()]


def photographs(paths: Sequence[Path]) -> list[Subject]:
    """Read photographs, none larger than needed; DataError for what is no picture."""
    return [Subject(path.stem, _within(to_array(path))) for path in paths]


def gather(paths: Sequence[Path], scenes: int) -> Groups:
    """Read photographs and render scenes of the embedded world, which have their true depth as well."""
    photos = photographs(paths)
    views = scenes_of_note(len(photos) + scenes)
    rendered = tuple(Subject(f"scene {index}", view.image) for index, view in views.items())
    return Groups(
        Group("the pictures", (*photos, *rendered[:scenes])),
        Group("scenes of the embedded world", rendered),
        Group(
            "their true depth maps",
            tuple(Subject(f"scene {index}", view.control("depth")) for index, view in views.items()),
        ),
    )


def scenes_of_note(count: int) -> "dict[int, View]":
    """Render scenes that show much, by their index: in turn one with a mannequin, one with solids alone."""
    from controlnet.shapes.captions import describe
    from controlnet.shapes.render import render
    from controlnet.shapes.scene import draw_scene

    drawn = {index: draw_scene(WORLD, index) for index in range(SEARCHED + 3 * count)}
    rich = sorted(drawn, key=lambda index: (-len(describe(drawn[index])), index))
    posed = [index for index in rich if drawn[index].figure]
    still = [index for index in rich if not drawn[index].figure]
    chosen = [(posed if number % 2 == 0 else still).pop(0) for number in range(count)]
    return {index: render(WORLD, index) for index in chosen}


def _within(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, LARGEST / min(height, width))
    return resized(pixels, round(width * scale), round(height * scale))


def square(pixels: Pixels) -> Pixels:
    """Return the largest square in the middle of a picture."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])
