"""Classes in the embedded world, as its judge sees them."""

from typing import TYPE_CHECKING, ClassVar, final

from controlnet.conditions._image import Pixels
from controlnet.shapes.conditions._judged import Judged

if TYPE_CHECKING:
    from controlnet.shapes.judge import Reading


@final
class ShapesSegmentation(Judged):
    """The eight classes of the embedded world (sky, floor, five solids, person), each in its own colour.

    The palette is the world's (`controlnet.shapes.palette.CLASS_COLOURS`), not ADE20K's. Meant for pictures
    of the embedded world only; elsewhere it draws nonsense. Against the true maps of 100 scenes that the
    judge has not seen: 99.0 % of the pixels the same (`python benchmarks/shapes_conditions.py 100`).
    """

    title: ClassVar[str] = "Classes in the embedded world: sky, floor, five solids, person"
    label_map: ClassVar[bool] = True

    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""
        return seen.control("segmentation")
