"""Surface normals in the embedded world, as its judge sees them."""

from typing import TYPE_CHECKING, ClassVar, final

from controlnet.conditions._image import Pixels
from controlnet.shapes.conditions._judged import Judged

if TYPE_CHECKING:
    from controlnet.shapes.judge import Reading


@final
class ShapesNormal(Judged):
    """Normals as colours: red right, green up, blue to the viewer; grey (128) where there is no surface.

    So are the world's true maps; in those of photographs (`normal_bae`, `normal_midas`) red is to the left.
    Meant for pictures of the embedded world only; elsewhere it draws nonsense. Against the true maps of 100
    scenes that the judge has not seen: a mean angle of 5.2 degrees (`python benchmarks/shapes_conditions.py
    100`).
    """

    title: ClassVar[str] = "Surface normals in the embedded world: red right, green up, blue to the viewer"

    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""
        return seen.control("normal")
