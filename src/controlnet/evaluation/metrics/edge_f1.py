"""Edge F1: do a generated picture's edges lie where the condition drew them, and nowhere else?"""

from typing import ClassVar, final

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels

_AROUND = np.ones((3, 3), dtype=np.uint8)


@final
class EdgeF1(Averaged):
    """F1 between the edges of a picture and its edge map, one pixel off forgiven; mean over pictures.

    Precision is the share of the picture's edge pixels that lie within one pixel (3×3) of one in the map,
    recall the share of the map's that lie so near to one of the picture's; F1 is their harmonic mean: 1 where
    neither has any edge, 0 where only one has. `edge_f1_exact` is the same with no pixel forgiven, as
    ControlNet++ (2404.07987) measures it.

    `low` and `high` are canny's thresholds on the picture; they should be those that drew the map. For maps
    of other lines `annotator` names the condition that drew them, such as "scribble_xdog".
    """

    title: ClassVar[str] = "Edges where the condition map has them (F1, one pixel forgiven)"
    unit: ClassVar[str] = "F1, 0 to 1"
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[int] = 2

    def __init__(self, low: int = 100, high: int = 200, annotator: str | None = None) -> None:
        super().__init__()
        self._draw = condition_named(annotator or f"canny(low={low!r}, high={high!r})")

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row:
        """Compare a picture's edges with an edge map, white (128 or more in any channel) on black."""
        drawn, wanted = (edges.max(axis=2) > 127 for edges in (self._draw(picture), condition))
        near = _f1(drawn, wanted, _widened(drawn), _widened(wanted))
        return np.array([near, _f1(drawn, wanted, drawn, wanted)])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell edge_f1 and edge_f1_exact."""
        return {"edge_f1": mean[0], "edge_f1_exact": mean[1]}


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
