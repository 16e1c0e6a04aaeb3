"""Drawings of a scene, from what its surfaces are: thin line art, and the broad strokes of a scribble.

Lines stand where what is seen changes, not where the light does: neither shadows nor highlights are drawn.
"""

from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.palette import CLASSES

if TYPE_CHECKING:
    from controlnet.shapes.controls import Surfaces

Bools = NDArray[np.bool_]

JUMP: Final = 0.08  # of inverse depth, from one thing to another behind it in the same colour
CREASE: Final = np.cos(np.radians(35))  # normals further apart make an edge of a solid
DRAWN_FOR: Final = 128  # pixels on the short side for which the strokes below are made
THIN: Final = (0.7, 1.6)  # σ in pixels, and the gain that leaves a line's middle white
BROAD: Final = (1.0, 0.12)  # σ and level: strokes of three to four pixels, thirteen at a side of 512


def lineart_map(view: "Surfaces") -> NDArray[np.uint8]:
    """Draw outlines and creases as thin light lines on black, (H, W, 3)."""
    spread, gain = THIN
    soft = _smooth(outlines(view) | creases(view), spread) * gain
    return _grey((soft * 255).clip(0, 255).astype(np.uint8))


def scribble_map(view: "Surfaces") -> NDArray[np.uint8]:
    """Draw outlines alone as broad white strokes on black with rounded corners, (H, W, 3)."""
    spread, level = BROAD
    return _grey(np.where(_smooth(outlines(view), spread) > level, 255, 0).astype(np.uint8))


def outlines(view: "Surfaces") -> Bools:
    """Tell where class, or a thing's colour or distance, changes to the next pixel right or below, (H, W)."""
    inverse = np.where(np.isfinite(view.depth), 1 / np.maximum(view.depth, 1e-3), 0.0)
    things = _things(view)
    found = np.zeros(view.classes.shape, dtype=bool)
    for here, there in _NEIGHBOURS:
        jump = np.abs(inverse[here] - inverse[there]) > JUMP * np.maximum(inverse[here], inverse[there])
        other = view.tints[here] != view.tints[there]
        found[here] |= view.classes[here] != view.classes[there]
        found[here] |= things[here] & things[there] & (jump | other)
    return found


def creases(view: "Surfaces") -> Bools:
    """Tell where the surface of a thing turns sharply to the next pixel right or below, (H, W)."""
    things = _things(view)
    found = np.zeros(view.classes.shape, dtype=bool)
    for here, there in _NEIGHBOURS:
        cosine = (view.normals[here] * view.normals[there]).sum(axis=-1)
        found[here] |= things[here] & things[there] & (cosine < CREASE)
    return found


def _things(view: "Surfaces") -> Bools:
    return (view.classes != CLASSES.index("sky")) & (view.classes != CLASSES.index("floor"))


def _smooth(lines: Bools, spread: float) -> NDArray[np.float32]:
    sigma = spread * max(1.0, min(lines.shape) / DRAWN_FOR)
    return np.asarray(cv2.GaussianBlur(lines.astype(np.float32), (0, 0), sigma), np.float32)


def _grey(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(values[..., None], 3, axis=-1)


_NEIGHBOURS: Final = (
    (np.s_[:, :-1], np.s_[:, 1:]),
    (np.s_[:-1, :], np.s_[1:, :]),
)
