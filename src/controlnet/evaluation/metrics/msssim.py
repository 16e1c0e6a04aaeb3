"""MS-SSIM of maps: does the map that is drawn of the picture look like the map that it was to obey?"""

from typing import ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from controlnet.conditions import condition as condition_named
from controlnet.errors import ShapeError
from controlnet.evaluation.averaged import Averaged, Row
from controlnet.evaluation.metric import Pixels

WINDOW: Final = 11
SPREAD: Final = 1.5
SMALL: Final = (0.01**2, 0.03**2)  # of a range of 1
EXPONENTS: Final = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@final
class MSSSIM(Averaged):
    """Multi-scale structural similarity between the condition map and that of the generated picture.

    For soft edges and line art, as ControlNet++ (2404.07987) measures them; it calls it SSIM. annotator: the
    condition that draws the map, such as "lineart_realistic"; it should be the one that drew the condition.
    Both maps are taken as grey in floating point, white on black as the ControlNets take them, and nothing
    is inverted (in ControlNet++'s evaluator an inversion of bytes, 1 − x, wraps around). Five scales need
    176 pixels across; of smaller maps as many are taken as fit, their exponents brought to the sum 1:
    `msssim_scales` tells how many. `msssim_mirrored` is the number as torchmetrics, and so ControlNet++,
    computes it: at the coarsest scale it also takes the places where the window lies partly outside, the map
    being mirrored there. Source: Wang, Simoncelli and Bovik, Multiscale structural similarity for
    image quality assessment, 2003.
    """

    title: ClassVar[str] = "Likeness of the picture's own map to the condition map"
    unit: ClassVar[str] = "MS-SSIM, 1 for the same"
    higher_is_better: ClassVar[bool] = True
    columns: ClassVar[int] = 3

    def __init__(self, annotator: str = "softedge_gradient") -> None:
        super().__init__()
        self._draw = condition_named(annotator)

    def row(self, picture: Pixels, condition: Pixels, caption: str, truth: Pixels | None) -> Row:
        """Compare the maps; ShapeError for pictures of which not even one scale can be told."""
        drawn, wanted = (_grey(array) for array in (self._draw(picture), condition))
        scales = fitting(min(picture.shape[:2]))
        inside, mirrored = (ms_ssim(drawn, wanted, scales, outside) for outside in (False, True))
        return np.array([inside, mirrored, scales])

    def tell(self, mean: Row) -> dict[str, float]:
        """Tell msssim, the same as torchmetrics has it, and from how many scales."""
        return {"msssim": mean[0], "msssim_mirrored": mean[1], "msssim_scales": mean[2]}


def fitting(side: int) -> int:
    """Return how many scales, at most five, fit a short side of so many pixels; ShapeError for none."""
    scales = sum(side // 2**scale >= WINDOW for scale in range(len(EXPONENTS)))
    if scales < 1:
        raise ShapeError(
            f"the maps are {side} pixels across; wanted at least {WINDOW}: measure larger pictures"
        )
    return scales


def ms_ssim(one: Tensor, other: Tensor, scales: int = 5, mirrored: bool = False) -> float:
    """Return the MS-SSIM of two maps (1, 1, H, W) in [0, 1]; negative contrasts count as 0.

    mirrored: let the window reach over the border at the coarsest scale, see `MSSSIM`.
    """
    exponents = np.array(EXPONENTS[:scales]) / sum(EXPONENTS[:scales])
    if scales == len(EXPONENTS):
        exponents = np.array(EXPONENTS)  # as published: their sum is 1.0001
    found = 1.0
    for scale, exponent in enumerate(exponents):
        last = scale == scales - 1
        if last and mirrored:
            one, other = (F.pad(x, (WINDOW // 2,) * 4, mode="reflect") for x in (one, other))
        whole, contrast = _ssim(one, other)
        found *= max(whole if last else contrast, 0.0) ** exponent
        one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
    return float(found)


def _ssim(one: Tensor, other: Tensor) -> tuple[float, float]:
    """Return SSIM and its contrast part, means over all places where the window lies inside."""
    place = torch.arange(WINDOW, dtype=one.dtype) - WINDOW // 2
    line = torch.exp(-place.square() / (2 * SPREAD**2))
    line = line / line.sum()

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))

    mean, other_mean = smooth(one), smooth(other)
    variance, other_variance = smooth(one * one) - mean**2, smooth(other * other) - other_mean**2
    both = smooth(one * other) - mean * other_mean
    bright, busy = SMALL
    contrast = (2 * both + busy) / (variance + other_variance + busy)
    light = (2 * mean * other_mean + bright) / (mean**2 + other_mean**2 + bright)
    return float((light * contrast).mean()), float(contrast.mean())


def _grey(array: Pixels) -> Tensor:
    return torch.from_numpy(array.astype(np.float64).mean(axis=2))[None, None] / 255
