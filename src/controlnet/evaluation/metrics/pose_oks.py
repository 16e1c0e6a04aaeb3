"""Pose OKS: do the people stand as those of the true picture do, by COCO's measure?"""

from typing import ClassVar, final

import numpy as np

from controlnet.evaluation._people import bodies, finder, matched, oks
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels, needed


@final
class PoseOKS(Averaged):
    """Object keypoint similarity between the people of a picture and those of the true one, mean over people.

    One annotator reads both pictures, so that its own errors count against neither more than the other; each
    true person is compared with the one most like it, and with nobody where none is left: 0.
    `pose_oks_found` is the share of people with a similarity of .5 or more. Areas are those of the box around
    the keypoints times .53. People who are too many cost nothing. NaN where the true pictures have nobody.

    annotator: the condition that finds people, such as "openpose", "dw_openpose_full" or "shapes_openpose".
    """

    title: ClassVar[str] = "People posed as in the true picture (object keypoint similarity)"
    unit: ClassVar[str] = "OKS, 0 to 1"
    higher_is_better: ClassVar[bool] = True
    wants_truth: ClassVar[bool] = True
    columns: ClassVar[int] = 3

    def __init__(self, annotator: str = "openpose") -> None:
        super().__init__()
        self._finder = finder(annotator)

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Compare the people of two pictures."""
        true = bodies(self._finder, needed(self, truth))
        if not true:
            return None
        pairs = matched(bodies(self._finder, picture), true)
        found = np.array([0.0 if made is None else oks(made, body) for made, body in pairs])
        return np.array([found.sum(), float((found >= 0.5).sum()), len(found)])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell the mean similarity, and the share of people found."""
        return {"pose_oks": mean[0] / mean[2], "pose_oks_found": mean[1] / mean[2]}
