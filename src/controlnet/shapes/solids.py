"""Signed distances of the solids, and the tracing of rays against one of them.

Each function takes points (N, 3) in the solid's own frame and unit size, y up, and gives distances (N,). The
formulas are the well-known exact ones (Quilez, "Distance functions", iquilezles.org), in our own words.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Distance = Callable[[Array], Array]

STEPS: Final = 64
CLOSE: Final = 2e-3


def sphere(p: Array) -> Array:
    """Give the distance to the unit sphere."""
    return np.sqrt(np.einsum("ni,ni->n", p, p)) - 1.0


def cube(p: Array) -> Array:
    """Give the distance to a cube of half-side 0.8 with edges rounded by 0.04, standing at y = −1."""
    q = np.abs(p - np.array([0.0, -0.2, 0.0])) - 0.76
    outside = np.maximum(q, 0.0)
    return np.sqrt(np.einsum("ni,ni->n", outside, outside)) + np.minimum(q.max(axis=1), 0.0) - 0.04


def cylinder(p: Array) -> Array:
    """Give the distance to an upright cylinder of radius 0.7, from y = −1 to 1."""
    radial, vertical = np.hypot(p[:, 0], p[:, 2]) - 0.7, np.abs(p[:, 1]) - 1.0
    return np.hypot(np.maximum(radial, 0), np.maximum(vertical, 0)) + np.minimum(
        np.maximum(radial, vertical), 0
    )


def cone(p: Array) -> Array:
    """Give the distance to an upright cone, base radius 0.9 at y = −1, tip at y = 1."""
    radial = np.hypot(p[:, 0], p[:, 2])
    slope = np.array([2.0, 0.9]) / np.hypot(2.0, 0.9)  # outward normal of the side, in (radial, y)
    side = radial * slope[0] + (p[:, 1] - 1.0) * slope[1]
    return np.maximum(side, -1.0 - p[:, 1])


def torus(p: Array) -> Array:
    """Give the distance to a standing ring, radii 0.68 and 0.32, its hole towards z."""
    return np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.68, p[:, 2]) - 0.32


def capsule(start: Array, end: Array, radius: float) -> Distance:
    """Make the distance to a rod with round ends, in world units."""
    axis = end - start
    length2 = max(float(axis @ axis), 1e-12)

    def distance(p: Array) -> Array:
        along = np.clip((p - start) @ axis / length2, 0.0, 1.0)
        offset = p - start - along[:, None] * axis
        return np.sqrt(np.einsum("ni,ni->n", offset, offset)) - radius

    return distance


UNIT: Final[dict[str, Distance]] = {
    "sphere": sphere,
    "cube": cube,
    "cylinder": cylinder,
    "cone": cone,
    "torus": torus,
}


@dataclass(frozen=True)
class Body:
    """Something that rays can hit: its distance function in world units, a sphere around it, and what it is.

    label is its class (`palette.CLASSES`), instance its number in the scene from 1 (all limbs of a mannequin
    share one), tint its colour's number in `palette.COLOURS` from 1 (0: skin), albedo the colour itself.
    """

    distance: Distance
    centre: Array
    radius: float
    label: int
    instance: int
    tint: int
    albedo: Array

    def trace(self, origins: Array, directions: Array) -> tuple[NDArray[np.intp], Array]:
        """Sphere-trace rays (N, 3) + t (N, 3): the indices of those that hit, and their t, both (M,).

        Only rays through the surrounding sphere are marched, and only until they hit or leave it.
        """
        offset = self.centre - origins
        middle = np.einsum("ni,ni->n", np.broadcast_to(offset, directions.shape), directions)
        gap = middle**2 - np.einsum("...i,...i->...", offset, offset) + self.radius**2
        rays = np.flatnonzero((gap > 0) & (middle + np.sqrt(np.maximum(gap, 0)) > 0))
        half = np.sqrt(gap[rays])
        t, leave = np.maximum(middle[rays] - half, 0.0), middle[rays] + half
        start, heading = np.broadcast_to(origins, directions.shape)[rays], directions[rays]
        hit = np.zeros(len(rays), dtype=bool)
        active = np.arange(len(rays))
        for _ in range(STEPS):
            step = self.distance(start[active] + t[active, None] * heading[active])
            t[active] += step
            hit[active[step < CLOSE]] = True
            active = active[(step >= CLOSE) & (t[active] < leave[active])]
            if not len(active):
                break
        hit[active] = True  # still creeping along an edge: on the surface for all that a pixel can tell
        return rays[hit], t[hit]

    def normals(self, points: Array) -> Array:
        """Give the unit normals (N, 3) at surface points (N, 3), by central differences."""
        steps = 1e-4 * np.eye(3)
        gradient = np.stack([self.distance(points + s) - self.distance(points - s) for s in steps], axis=-1)
        return gradient / np.maximum(np.linalg.norm(gradient, axis=-1, keepdims=True), 1e-12)


def placed(unit: Distance, centre: Array, size: float, yaw: float) -> Distance:
    """Move a unit solid into the world: turned about the vertical, scaled, at `centre`."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])

    def distance(p: Array) -> Array:
        return unit((p - centre) @ turn / size) * size

    return distance
