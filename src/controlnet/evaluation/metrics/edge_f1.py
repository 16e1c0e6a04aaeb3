"""Edge F1: do a generated picture's edges lie where the condition drew them, and nowhere else?"""

from typing import ClassVar, final

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.evaluation.metric import Metric, Pixels, check_pair, nothing_taken

_AROUND = np.ones((3, 3), dtype=np.uint8)


@final
class EdgeF1(Metric):
    """F1 between the canny edges of a picture and its edge map, one pixel off forgiven; mean over pictures.

    Precision is the share of the picture's edge pixels that lie within one pixel (3×3) of one in the map,
    recall the share of the map's that lie so near to one of the picture's; F1 is their harmonic mean: 1 where
    neither has any edge, 0 where only one has. `edge_f1_exact` is the same with no pixel forgiven.

    `low` and `high` are canny's thresholds on the picture; they should be those that drew the map.
    """

    title: ClassVar[str] = "Edges where the condition map has them (F1, one pixel forgiven)"
    unit: ClassVar[str] = "F1, 0 to 1"
    higher_is_better: ClassVar[bool] = True

    def __init__(self, low: int = 100, high: int = 200) -> None:
        self._canny = condition_named(f"canny(low={low!r}, high={high!r})")
        self._near: list[float] = []
        self._exact: list[float] = []

    def update(self, picture: Pixels, condition: Pixels, caption: str = "") -> None:
        """Compare a picture's edges with an edge map, white (128 or more in any channel) on black."""
        check_pair(picture, condition)
        drawn, wanted = (edges.max(axis=2) > 127 for edges in (self._canny(picture), condition))
        self._exact.append(_f1(drawn, wanted, drawn, wanted))
        self._near.append(_f1(drawn, wanted, _widened(drawn), _widened(wanted)))

    def compute(self) -> dict[str, float]:
        """Tell edge_f1 and edge_f1_exact, each the mean over the pictures."""
        if not self._near:
            raise nothing_taken(self)
        return {"edge_f1": float(np.mean(self._near)), "edge_f1_exact": float(np.mean(self._exact))}


def _widened(edges: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.dilate(edges.astype(np.uint8), _AROUND).astype(bool)


def _f1(
    drawn: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    near_drawn: NDArray[np.bool_],
    near_wanted: NDArray[np.bool_],
) -> float:
    if not drawn.any() or not wanted.any():
        return float(drawn.any() == wanted.any())
    precision, recall = near_wanted[drawn].mean(), near_drawn[wanted].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
