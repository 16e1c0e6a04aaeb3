"""The mannequin's pose in the embedded world, as its judge sees it."""

from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import Person, Pose
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

    def find_people(self, image: Pixels) -> Pose:
        """Return the mannequin in a picture of any size, in its pixels, as the other pose conditions do."""
        given, tall, wide = self.prepare(image)
        from controlnet.shapes.judge import embedded_judge

        [seen] = embedded_judge().read([given])
        people = () if seen.keypoints is None else (Person(seen.keypoints.astype(np.float64)),)
        return Pose(people, tall, wide).resized(*image.shape[:2])

    def draw(self, seen: "Reading") -> Pixels:
        """Return the map of what the judge has seen."""
        return seen.control("openpose")
