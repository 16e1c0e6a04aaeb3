"""The mannequin's pose in the embedded world, as its judge sees it."""

from typing import TYPE_CHECKING, ClassVar, final

from controlnet.conditions._image import Pixels
from controlnet.shapes.conditions._judged import Judged

if TYPE_CHECKING:
    from controlnet.shapes.judge import Reading


@final
class ShapesOpenPose(Judged):
    """The mannequin's 18 body keypoints and their limbs in OpenPose's colours on black; black without one.

    One body at most. Meant for pictures of the embedded world only; elsewhere it draws nonsense, and
    `openpose` is what is wanted. Against the true maps of 100 scenes that the judge has not seen:
    intersection over union of what is drawn .78 (`python benchmarks/shapes_conditions.py 100`).
    """

    title: ClassVar[str] = "The mannequin's pose in the embedded world, in OpenPose's colours"

    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""
        return seen.control("openpose")
