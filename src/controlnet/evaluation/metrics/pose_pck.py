"""Pose PCK: are the people's keypoints where those of the true picture are?"""

from typing import ClassVar, final

import numpy as np

from controlnet.errors import SettingError
from controlnet.evaluation._people import bodies, finder, matched, within
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels, needed


@final
class PosePCK(Averaged):
    """Share of keypoints within a distance of where the true picture has them; mean over pictures.

    The distance is a share (`near`, by default .05) of the picture's longer side. One annotator reads both
    pictures; each true person is compared with the one most like it by OKS, and counts as missed where none
    is left. `pose_pck_pooled` is the share over all keypoints of all pictures. NaN where the true pictures
    have nobody. Source: Yang and Ramanan, Articulated human detection with flexible mixtures of parts, 2013.

    annotator: the condition that finds people, such as "openpose" or "shapes_openpose".
    """

    title: ClassVar[str] = "Keypoints where the true picture has them"
    unit: ClassVar[str] = "share of keypoints"
    higher_is_better: ClassVar[bool] = True
    wants_truth: ClassVar[bool] = True
    columns: ClassVar[int] = 3

    def __init__(self, annotator: str = "openpose", near: float = 0.05) -> None:
        if not 0 < near <= 1:
            raise SettingError(f"got near={near!r}; wanted a share of the picture's side, such as 0.05")
        super().__init__()
        self._finder, self._near = finder(annotator), near

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row | None:
        """Compare the people of two pictures."""
        true = bodies(self._finder, needed(self, truth))
        if not true:
            return None
        most = self._near * max(picture.shape[:2])
        hits = seen = 0
        for made, body in matched(bodies(self._finder, picture), true):
            seen += int((body[:, 2] > 0).sum())
            hits += 0 if made is None else int(within(made, body, most).sum())
        return np.array([hits / seen, hits, seen])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell the mean over pictures and the share of all keypoints."""
        return {"pose_pck": mean[0], "pose_pck_pooled": mean[1] / mean[2]}
