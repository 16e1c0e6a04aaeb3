"""People made up for the tests, and the maps that a perfect network would draw of them."""

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._grouping import AFFINITIES, CHANNELS, HEATS, PAIRS
from controlnet.conditions._keypoints import Person, Pose

# A person who stands and faces the viewer, in fractions of a square: the person's right is at the left.
STANDING = np.array(
    [
        *((0.50, 0.12), (0.50, 0.24), (0.38, 0.25), (0.30, 0.38), (0.26, 0.50)),
        *((0.62, 0.25), (0.70, 0.37), (0.75, 0.49), (0.44, 0.52), (0.42, 0.72), (0.41, 0.92)),
        *((0.56, 0.52), (0.58, 0.72), (0.59, 0.92)),
        *((0.47, 0.09), (0.53, 0.09), (0.43, 0.11), (0.57, 0.11)),
    ]
)


def standing(left: float, top: float, side: float, without: tuple[int, ...] = ()) -> NDArray[np.float64]:
    """Return the body (18, 3) in the square, without some of its keypoints."""
    points = np.concatenate([STANDING * side + (left, top), np.ones((18, 1))], axis=1).round(1)
    points[list(without)] = 0
    return points


def heat_maps(
    people: list[NDArray[np.float64]], height: int, width: int, sigma: float = 5
) -> NDArray[np.float64]:
    """Return (19, H, W): a bell at each keypoint, and the background."""
    y, x = np.mgrid[:height, :width]
    maps = np.zeros((HEATS, height, width))
    for body in people:
        for part, (px, py, score) in enumerate(body):
            bell = score * np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
            maps[part] = np.maximum(maps[part], bell)
    maps[-1] = 1 - maps.max(axis=0)
    return maps


def affinity_maps(
    people: list[NDArray[np.float64]], height: int, width: int, thick: float = 5
) -> NDArray[np.float64]:
    """Return (38, H, W): along each limb the unit vector of its direction."""
    y, x = np.mgrid[:height, :width]
    maps = np.zeros((AFFINITIES, height, width))
    for body in people:
        for channel, (i, j) in zip(CHANNELS, PAIRS, strict=True):
            (ax, ay, a), (bx, by, b) = body[i], body[j]
            if not (a > 0 and b > 0):
                continue
            length = max(1e-6, float(np.hypot(bx - ax, by - ay)))
            ux, uy = (bx - ax) / length, (by - ay) / length
            along, aside = (x - ax) * ux + (y - ay) * uy, (x - ax) * -uy + (y - ay) * ux
            on = (along >= -thick) & (along <= length + thick) & (np.abs(aside) <= thick)
            maps[channel][on], maps[channel + 1][on] = ux, uy
    return maps


def a_person(
    seed: int, height: int, width: int, parts: tuple[bool, bool, bool] = (True, True, True)
) -> Person:
    """Return a person with keypoints anywhere in the picture, no score 0; hands and face if wanted."""
    rng = np.random.default_rng(seed)

    def some(count: int) -> NDArray[np.float64]:
        places = rng.uniform(2, (width, height), (count, 2))
        return np.concatenate([places, rng.uniform(0.1, 1, (count, 1))], axis=1)

    left, right, face = parts
    return Person(
        some(18), some(21) if left else None, some(21) if right else None, some(70) if face else None
    )


def a_pose(seed: int, height: int, width: int, people: int = 2) -> Pose:
    """Return people whose keypoints lie anywhere in the picture."""
    return Pose(tuple(a_person(seed * 100 + i, height, width) for i in range(people)), height, width)
