"""Peaks of heat maps joined into people along their part affinities.

Source: Cao et al., Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, arXiv 1611.08050,
section 2.3, with the constants and the order of OpenPose's COCO model. A limb's affinity is a vector at each
pixel that points from its one end to the other; a pair of peaks is as good as the field along the line
between them. Pairs are taken greedily, limb by limb, and grow into people.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._pose import LIMBS

Map = NDArray[np.float64]

HEATS: Final = 19  # 18 keypoints and the background
AFFINITIES: Final = 38

# The limbs that are drawn, and two from shoulder to ear that only help to join.
PAIRS: Final = (*LIMBS, (2, 16), (5, 17))
# For each of them the channel of its affinity's x; that of its y is the next.
CHANNELS: Final = (12, 20, 14, 16, 22, 24, 0, 2, 4, 6, 8, 10, 28, 30, 34, 32, 36, 18, 26)

_SIGMA: Final = 3  # pixels
_KERNEL: Final = 25  # pixels: four sigmas to either side
_PEAK: Final = 0.1
_ALONG: Final = 10  # places on the line between two peaks
_AGREE: Final = 0.05  # affinity along the line, above which a place agrees
_AGREEING: Final = 8  # of them more than these must
_FEWEST: Final = 4  # keypoints of a person
_LEAST: Final = 0.4  # score a keypoint


def group(heat: Callable[[int], Map], affinity: Callable[[int], Map]) -> list[NDArray[np.float64]]:
    """Return people, each (18, 3) of x, y in pixels and a score, 0 where a keypoint was not found.

    `heat` gives one of the 18 maps (H, W) of how likely a keypoint is, `affinity` one of the 38 (H, W): one
    at a time, as all of them at a picture's size may be more than there is memory for.
    """
    found = [_peaks(heat(part)) for part in range(len(LIMBS) + 1)]
    groups: list[_Group] = []
    for limb, (pair, channel) in enumerate(zip(PAIRS, CHANNELS, strict=True)):
        start, end = found[pair[0]], found[pair[1]]
        if len(start) and len(end):
            field = np.stack([affinity(channel), affinity(channel + 1)])
            for i, j, score in _joined(start, end, field):
                link = _Link(pair, (i, j), score, (start[i, 2], end[j, 2]))
                _add(groups, link, begins=limb < len(LIMBS))
    return [each.points(found) for each in groups if each.is_person()]


def _peaks(heat: Map) -> NDArray[np.float64]:
    """Return the local maxima of a smoothed map, (n, 3) of x, y and the value before smoothing."""
    smooth = cv2.GaussianBlur(heat, (_KERNEL, _KERNEL), _SIGMA, borderType=cv2.BORDER_REFLECT)
    around = np.pad(smooth, 1)
    tops = smooth > _PEAK
    for beside in (around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]):
        tops &= smooth >= beside
    y, x = np.nonzero(tops)
    return np.stack([x.astype(np.float64), y.astype(np.float64), heat[y, x]], axis=1)


def _joined(start: Map, end: Map, field: NDArray[np.float64]) -> list[tuple[int, int, float]]:
    """Return pairs of peaks and their scores, the best first, each peak in one pair at most."""
    way = end[None, :, :2] - start[:, None, :2]  # A B 2
    length = np.maximum(np.linalg.norm(way, axis=-1), 1e-3)
    unit = way / length[..., None]
    steps = np.linspace(0, 1, _ALONG)[:, None]
    places = np.rint(start[:, None, None, :2] + steps * way[:, :, None]).astype(int)  # A B 10 2
    met = field[:, places[..., 1], places[..., 0]]  # 2 A B 10
    agreement = np.einsum("cabn,abc->abn", met, unit)
    # Limbs longer than half the picture's height are unlikely.
    score = agreement.mean(axis=-1) + np.minimum(0.5 * field.shape[1] / length - 1, 0)
    good = ((agreement > _AGREE).sum(axis=-1) > _AGREEING) & (score > 0)
    ones, others = np.nonzero(good)
    pairs: list[tuple[int, int, float]] = []
    free = [set(ones.tolist()), set(others.tolist())]
    for k in np.argsort(-score[ones, others], kind="stable"):
        i, j = int(ones[k]), int(others[k])
        if i in free[0] and j in free[1]:
            free[0].remove(i)
            free[1].remove(j)
            pairs.append((i, j, float(score[i, j])))
    return pairs


@dataclass(frozen=True)
class _Link:
    """A limb that was found: its keypoints' numbers, which peaks they are, and the scores of all three."""

    parts: tuple[int, int]
    peaks: tuple[int, int]
    score: float
    ends: tuple[float, float]


@dataclass(eq=False)
class _Group:
    """Peaks that belong to one person: for each of the 18 keypoints its number, or −1."""

    peaks: NDArray[np.int64]
    score: float
    count: int

    def has(self, link: _Link) -> bool:
        return any(self.peaks[part] == peak for part, peak in zip(link.parts, link.peaks, strict=True))

    def grow(self, link: _Link) -> None:
        self.peaks[link.parts[1]] = link.peaks[1]
        self.count += 1
        self.score += link.ends[1] + link.score

    def is_person(self) -> bool:
        return self.count >= _FEWEST and self.score / self.count >= _LEAST

    def points(self, found: list[NDArray[np.float64]]) -> NDArray[np.float64]:
        points = np.zeros((len(self.peaks), 3))
        for part, peak in enumerate(self.peaks):
            if peak >= 0:
                points[part] = found[part][peak]
        # A peak of the smoothed map may be a dip before smoothing: it counts as found all the same.
        points[self.peaks >= 0, 2] = np.maximum(points[self.peaks >= 0, 2], 1e-3)
        return points


def _add(groups: list[_Group], link: _Link, begins: bool) -> None:
    """Put a limb into the group that has one of its ends; join two groups; or begin one with it."""
    having = [each for each in groups if each.has(link)]
    if not having:
        if begins:
            peaks = np.full(len(LIMBS) + 1, -1, dtype=np.int64)
            peaks[list(link.parts)] = link.peaks
            groups.append(_Group(peaks, sum(link.ends) + link.score, 2))
        return
    first = having[0]
    if len(having) == 1:
        if first.peaks[link.parts[1]] != link.peaks[1]:
            first.grow(link)
        return
    second = having[1]
    if ((first.peaks >= 0) & (second.peaks >= 0)).any():
        first.grow(link)
        return
    first.peaks = np.maximum(first.peaks, second.peaks)
    first.score += second.score + link.score
    first.count += second.count
    groups.remove(second)
