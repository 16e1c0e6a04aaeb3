"""Line art in the embedded world, along what its judge sees."""

from typing import TYPE_CHECKING, ClassVar, final

from controlnet.conditions._image import Pixels
from controlnet.shapes.conditions._judged import Judged

if TYPE_CHECKING:
    from controlnet.shapes.judge import Reading


@final
class ShapesLineart(Judged):
    """Outlines and creases of things as thin light lines on black; no shadows, no highlights.

    Meant for pictures of the embedded world only; elsewhere it draws nonsense, and `lineart_realistic` is
    what is wanted. Against the true maps of 100 scenes that the judge has not seen: MS-SSIM .91
    (`python benchmarks/shapes_conditions.py 100`).
    """

    title: ClassVar[str] = "Line art of the embedded world: thin light lines on black"

    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""
        return seen.control("lineart")
