"""Depth error: does the picture's depth go as the depth map says?"""

from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels


@final
class DepthRMSE(Averaged):
    """Root mean square difference between the condition's depth and the picture's, on a scale of 0 to 255.

    Either map is brought to 0 … 255 by its own least and greatest value, both alike, since relative depth
    has no scale of its own (ControlNet++'s evaluator, 2404.07987, divides the prediction by its greatest
    value and the truth by its range); the root is taken for each picture, then the mean over pictures.
    `depth_rmse_aligned` is the same after the best scale and shift of the picture's depth (least squares, as
    in Ranftl et al. 1907.01341, sec. 5), which one bright pixel cannot spoil.

    annotator: the condition that reads depth from a picture, such as "depth_midas"; it should be the one that
    drew the map.
    """

    title: ClassVar[str] = "Error of the picture's depth against the depth map"
    unit: ClassVar[str] = "RMSE, 0 to 255"
    higher_is_better: ClassVar[bool] = False
    columns: ClassVar[int] = 2

    def __init__(self, annotator: str = "depth_anything_v2") -> None:
        super().__init__()
        self._draw = condition_named(annotator)

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row:
        """Compare the depth of a picture with a depth map."""
        found, wanted = (stretched(array) for array in (self._draw(picture), condition))
        return np.array([_root(found - wanted), _root(aligned(found, wanted) - wanted)])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell both errors."""
        return {"depth_rmse": mean[0], "depth_rmse_aligned": mean[1]}


def stretched(depth: Pixels) -> NDArray[np.float64]:
    """Bring a map to 0 … 255 by its own range; a flat one to 0."""
    grey = depth.astype(np.float64).mean(axis=2)
    low, high = grey.min(), grey.max()
    return (grey - low) * (255 / (high - low)) if high > low else np.zeros_like(grey)


def aligned(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a map after the scale and shift that bring it nearest to another."""
    apart = found - found.mean()
    variance = np.square(apart).mean()
    scale = (apart * (wanted - wanted.mean())).mean() / variance if variance else 0.0
    return scale * apart + wanted.mean()


def _root(difference: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(difference).mean()))
