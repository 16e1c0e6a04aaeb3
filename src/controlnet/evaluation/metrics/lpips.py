"""LPIPS: how unlike the generated picture and the true one look, as a trained network sees them."""

from typing import ClassVar, final

import numpy as np

from controlnet.conditions._weights import Weights
from controlnet.evaluation._lpips import Eye
from controlnet.evaluation._networks.lpips import HEAD_WEIGHTS, TRUNK_WEIGHTS, distance
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels, needed


@final
class LPIPS(Averaged):
    """Learned perceptual distance between a generated picture and its true one, mean over pictures.

    net: "alex", as is usual for measuring, or "vgg". trunk, heads: files, where not in $CONTROLNET_WEIGHTS.
    A controlled picture need not be the true one: a low value is a sign of obedience, not its measure.
    Source: Zhang et al. 1801.03924, version 0.1.
    """

    title: ClassVar[str] = "Perceptual distance of each picture to its true one"
    unit: ClassVar[str] = "LPIPS, 0 for the same"
    higher_is_better: ClassVar[bool] = False
    wants_truth: ClassVar[bool] = True
    weights: ClassVar[tuple[Weights, ...]] = (*TRUNK_WEIGHTS.values(), *HEAD_WEIGHTS.values())

    def __init__(self, net: str = "alex", trunk: str | None = None, heads: str | None = None) -> None:
        super().__init__()
        self._eye = Eye(net, trunk, heads)

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row:
        """Compare a picture with its true one."""
        return np.array([distance(self._eye(picture), self._eye(needed(self, truth)))])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell lpips."""
        return {"lpips": mean[0]}
