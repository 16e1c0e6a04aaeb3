"""DWPose: bodies, hands and faces by networks that find all three at once, drawn as OpenPose draws them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from controlnet.conditions._image import Pixels
from controlnet.conditions._keypoints import Person
from controlnet.conditions._posed import ADVICE, PosedInParts
from controlnet.conditions._weights import Weights
from controlnet.conditions._wholebody import people_boxes, person_of, pose_input, yolox_input

if TYPE_CHECKING:
    from controlnet.conditions._networks.onnx import Run


@final
class DWOpenPoseFull(PosedInParts):
    """Bodies, hands and faces in OpenPose's colours on black, which control_v11p_sd15_openpose takes.

    People are found by YOLOX, and 133 keypoints of each by DWPose; what is less sure than 0.3 is left out.
    Source: the annotator of DWPose's authors, with two differences: there both networks are given red first,
    here each is given what it was trained on (YOLOX blue first, the other red first); and where YOLOX sees
    something but no person, there the whole picture is taken for one, here there is nobody.
    """

    title: ClassVar[str] = "Human pose (DWPose): bodies, hands and faces, surer of hands than OpenPose"
    paper: ClassVar[str] = "Z. Yang et al., Effective Whole-body Pose Estimation …, arXiv 2307.15880"
    licence: ClassVar[str] = "code and weights Apache-2.0"
    aliases: ClassVar[Mapping[str, str]] = {
        "dw_openpose": "dw_openpose_full",
        "dwpose": "dw_openpose_full",
    }
    weights: ClassVar[tuple[Weights, ...]] = tuple(
        Weights("yzd-v/DWPose", file, megabytes, "Apache-2.0", sha256, advice=ADVICE)
        for file, megabytes, sha256 in (
            ("yolox_l.onnx", 217, "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411"),
            ("dw-ll_ucoco_384.onnx", 134, "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843"),
        )
    )

    hand: bool = Field(default=True, description="draw hands")
    face: bool = Field(default=True, description="draw faces")

    def people(self, image: Pixels) -> tuple[Person, ...]:
        """Return the people in a picture as `prepare` makes it, whatever is drawn of them."""
        from controlnet.conditions._networks.load import pretrained
        from controlnet.conditions._networks.onnx import session

        detector, poser = self.weights
        find, see = pretrained(session, detector), pretrained(session, poser)
        given, scale = yolox_input(image)
        boxes = people_boxes(find(given)[0], scale)
        return tuple(self._person(see, image, box) for box in boxes)

    def _person(self, see: "Run", image: Pixels, box: NDArray[np.floating]) -> Person:
        given, corner, size = pose_input(image, box)
        return person_of(see(given), corner, size)
