"""How far pictures obey a pose, as the embedded judge sees it."""

from typing import Final

import numpy as np
import torch
from torch import Tensor

from controlnet.data import Batch
from controlnet.sampling.images import to_pictures
from controlnet.shapes.judge import Reading, embedded_judge

NEAR: Final = 0.05  # of the picture's side: a keypoint this close is where it shall be (PCK at 0.05)


def pose_scores(pictures: Tensor, examples: Batch) -> Tensor:
    """Give the share of keypoints where the true picture has them, (B,); NaN where it has no mannequin.

    The judge reads both pictures, so that its own error counts against neither more than the other.
    """
    judge = embedded_judge()
    made, true = (
        judge.read([np.asarray(p) for p in to_pictures(some)]) for some in (pictures, examples.pixels)
    )
    side = pictures.shape[-1]
    return torch.tensor([_share(m, t, side) for m, t in zip(made, true, strict=True)], dtype=torch.float64)


def _share(made: Reading, true: Reading, side: int) -> float:
    if true.keypoints is None:
        return float("nan")
    seen = true.keypoints[:, 2] > 0
    if not seen.any() or made.keypoints is None:
        return 0.0 if seen.any() else float("nan")
    apart = np.linalg.norm(made.keypoints[seen, :2] - true.keypoints[seen, :2], axis=1)
    return float(((apart <= NEAR * side) & (made.keypoints[seen, 2] > 0)).mean())
