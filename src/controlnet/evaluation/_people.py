"""The people in two pictures, read by one annotator, and how like their poses are."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions import condition as condition_named
from controlnet.errors import SettingError
from controlnet.evaluation.metric import Pixels

Body = NDArray[np.float64]
"""OpenPose's 18 keypoints: x and y in pixels, and a score, which is 0 where not seen."""

# Standard deviations of COCO's annotators, in shares of the person's scale, in OpenPose's order; the neck,
# which COCO has not, as the shoulders, between which it lies.
SIGMAS: Final = np.array(
    [
        *(0.026, 0.079, 0.079, 0.072, 0.062, 0.079, 0.072, 0.062),
        *(0.107, 0.087, 0.089, 0.107, 0.087, 0.089, 0.025, 0.025, 0.035, 0.035),
    ]
)
AREA: Final = 0.53  # of the box around a person, where no outline is known: as COCO's and CrowdPose's tools


def finder(spec: str) -> Any:
    """Return the condition that finds people; SettingError for one that does not."""
    found = condition_named(spec)
    if not hasattr(found, "find_people"):
        raise SettingError(f"annotator {spec!r} finds no people; wanted such as openpose or shapes_openpose")
    return found


def bodies(annotator: Any, picture: Pixels) -> list[Body]:
    """Return the bodies of which anything is seen."""
    found = [np.asarray(person.body, dtype=np.float64) for person in annotator.find_people(picture).people]
    return [body for body in found if (body[:, 2] > 0).any()]


def oks(made: Body, true: Body) -> float:
    """Return the object keypoint similarity: the mean over the true body's keypoints of exp(−d² / (2 s² k²)).

    d is the distance in pixels, k = 2σ the keypoint's constant, s² the person's area. A keypoint that is not
    seen in the other picture counts 0. Source: COCO's keypoint evaluation.
    """
    seen = true[:, 2] > 0
    span = np.ptp(true[seen, :2], axis=0)
    area = max(AREA * float(span[0] * span[1]), 1.0)
    squared = np.square(made[seen, :2] - true[seen, :2]).sum(axis=1)
    like = np.exp(-squared / (2 * area * np.square(2 * SIGMAS[seen])))
    return float(np.where(made[seen, 2] > 0, like, 0.0).mean())


def within(made: Body, true: Body, distance: float) -> NDArray[np.bool_]:
    """Say of each keypoint that the true body has whether the other has it within so many pixels."""
    seen = true[:, 2] > 0
    apart = np.linalg.norm(made[seen, :2] - true[seen, :2], axis=1)
    return (apart <= distance) & (made[seen, 2] > 0)


def matched(made: list[Body], true: list[Body]) -> list[tuple[Body | None, Body]]:
    """Give each true body the one that is most like it, the surest pairs first; None where none is left."""
    pairs = sorted(((oks(a, b), i, j) for i, a in enumerate(made) for j, b in enumerate(true)), reverse=True)
    taken: dict[int, int] = {}
    for _, i, j in pairs:
        if j not in taken and i not in taken.values():
            taken[j] = i
    return [(made[taken[j]] if j in taken else None, body) for j, body in enumerate(true)]
