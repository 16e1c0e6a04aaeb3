"""What the pose conditions have in common: they find people in a picture, and draw them."""

from abc import abstractmethod
from typing import ClassVar, Self, final

from pydantic import Field, model_validator

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import Person, Pose
from controlnet.conditions._pose import Shown, draw_pose

ADVICE = "keypoints in an OpenPose JSON file are drawn without them: `controlnet annotate openpose pose.json`"


class Posed(Condition):
    """People as keypoints: 18 of a body, 21 of a hand, 70 of a face, drawn in OpenPose's colours on black."""

    family: ClassVar[Family] = "pose"
    label_map: ClassVar[bool] = True

    resolution: Resolution = 512

    @abstractmethod
    def people(self, image: Pixels) -> tuple[Person, ...]:
        """Return the people in a picture as `prepare` makes it, in its pixels."""

    def shown(self) -> Shown:
        """Return which parts of a person this condition draws."""
        return Shown()

    @final
    def find_people(self, image: Pixels) -> Pose:
        """Return the people in a picture of any size, uint8 of H×W×3 in RGB, in its pixels.

        Raises DataError for other pictures, and MissingWeights where the detector's are not here.
        """
        given, tall, wide = self.prepare(image)
        return Pose(self.people(given), tall, wide).resized(*image.shape[:2])

    @final
    def draw(self, pose: Pose) -> Pixels:
        """Return the map of given people, at the pose's size; it takes no weights."""
        return draw_pose(pose, self.shown())

    @final
    def detect(self, image: Pixels) -> Pixels:
        """Return the map of the people in a picture."""
        return self.draw(Pose(self.people(image), *image.shape[:2]))


class PosedInParts(Posed):
    """Poses of which bodies, hands and faces are drawn, or some of the three."""

    body: bool = Field(default=True, description="draw bodies")
    hand: bool = Field(default=False, description="find and draw hands")
    face: bool = Field(default=False, description="find and draw faces")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not any(self.shown()):
            raise ValueError("body, hand and face are all False; wanted at least one of them")
        return self

    def shown(self) -> Shown:
        """Return which parts of a person this condition draws."""
        return Shown(self.body, self.hand, self.face)
