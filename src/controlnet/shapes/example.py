"""A rendered scene as a training example: picture, control map, caption."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition
from controlnet.shapes.render import View, render

if TYPE_CHECKING:
    from controlnet.conditions._base import Condition

Pixels = NDArray[np.uint8]

TRUE_MAPS: Final = {
    "depth": False,
    "normal": False,
    "segmentation": True,
    "openpose": False,
    "lineart": False,
    "scribble": True,
}
"""The maps that the renderer draws itself, exactly, and whether they hold labels."""


@dataclass(frozen=True)
class Scenes:
    """The scenes of world `seed` under one condition, as `data.generate` takes them.

    The renderer's own map is taken where it has one, unless `annotated`; any other condition is computed from
    the picture. Raises UnknownName, and what else `controlnet.condition` raises, when made, not when used.
    """

    seed: int
    size: int
    condition: str
    annotated: bool = False

    def __post_init__(self) -> None:
        _ = self._annotator

    def __call__(self, index: int) -> tuple[Pixels, Pixels, str]:
        """Render scene `index`: picture and control map, (size, size, 3) uint8, and caption."""
        view = render(self.seed, index, self.size)
        return view.image, self.control_map(view), view.caption

    def control_map(self, view: View) -> Pixels:
        """Draw or compute the control map of a rendered scene, uint8 of the picture's shape."""
        return view.control(self.condition) if self._annotator is None else self._annotator(view.image)

    @property
    def label_map(self) -> bool:
        """Whether the map's colours mean edges or classes, which resizing must not blend."""
        return TRUE_MAPS[self.condition] if self._annotator is None else self._annotator.label_map

    def provenance(self) -> dict[str, Any]:
        """Return what a data set on disk notes of where its examples come from."""
        return {
            "generator": "shapes",
            "seed": self.seed,
            "size": self.size,
            "condition": self.condition,
            "annotated": self._annotator is not None,
            "label_map": self.label_map,
        }

    @cached_property
    def _annotator(self) -> "Condition | None":
        known = self.condition in TRUE_MAPS and not self.annotated
        return None if known else condition(self.condition)
