"""Diversity over seeds in the embedded world, as its judge sees the pictures."""

from typing import ClassVar, final

import numpy as np

from controlnet.evaluation._looking import judge_features
from controlnet.evaluation._pairs import Diversity
from controlnet.evaluation._sets import Features


@final
class ShapesDiversity(Diversity[Features]):
    """Mean distance of the embedded judge's features between pictures of several seeds; mean over examples.

    As `diversity`, on a scale of its own: the Euclidean distance of the 96 features.
    """

    title: ClassVar[str] = "How unlike the pictures of several seeds are (the embedded judge's features)"

    def __init__(self, seeds: int | None = None) -> None:
        super().__init__("diversity_shapes", judge_features(), _apart, seeds)


def _apart(one: Features, other: Features) -> float:
    return float(np.linalg.norm(one - other))
