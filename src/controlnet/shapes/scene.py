"""A scene: what stands where, drawn at random from (seed, index), with no pixel yet."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.figure import Figure, draw_figure
from controlnet.shapes.palette import COLOURS, FLOORS, SKIES, SOLIDS

Vector = NDArray[np.float64]

FIGURE_SHARE: Final = 0.3  # of all scenes have a mannequin
FIGURE_CLEARANCE: Final = 0.55  # radius of the ground that a mannequin keeps free


@dataclass(frozen=True)
class Solid:
    """One solid on the floor: kind, colour name, ground position (x, z), half-size, turn."""

    kind: str
    colour: str
    x: float
    z: float
    size: float
    yaw: float

    @property
    def centre(self) -> Vector:
        """Where its middle is, in world units: the floor is y = 0, the camera looks along +z."""
        return np.array([self.x, self.size, self.z])


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at (0, height, −distance), tilted to look at a point above the origin."""

    height: float
    distance: float
    aim: float
    fov: float

    def rays(self, size: int) -> tuple[Vector, Vector]:
        """Give the origin (3,) and the unit directions (size², 3) through the pixels' centres, row by row."""
        origin, right, up, forward = self.frame()
        half = np.tan(self.fov / 2)
        steps = ((np.arange(size) + 0.5) / size * 2 - 1) * half
        u, v = np.meshgrid(steps, -steps)
        directions = forward + u[..., None] * right + v[..., None] * up
        directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
        return origin, directions.reshape(-1, 3)

    def project(self, points: Vector) -> Vector:
        """Map world points (N, 3) to picture positions (N, 2) in [0, 1], x to the right and y down."""
        origin, right, up, forward = self.frame()
        offsets = points - origin
        depth = offsets @ forward * np.tan(self.fov / 2)
        return np.stack([(offsets @ right / depth + 1) / 2, (1 - offsets @ up / depth) / 2], axis=-1)

    def frame(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Give the camera's position and its unit axes right, up and forward, each (3,)."""
        origin = np.array([0.0, self.height, -self.distance])
        forward = np.array([0.0, self.aim, 0.0]) - origin
        forward /= np.linalg.norm(forward)
        right = np.array([1.0, 0.0, 0.0])
        return origin, right, np.cross(forward, right), forward


@dataclass(frozen=True)
class Scene:
    """Solids and perhaps a mannequin on a floor under a sky, seen by a camera, lit from a direction (3,)."""

    solids: tuple[Solid, ...]
    figure: Figure | None
    floor: str
    sky: str
    camera: Camera
    light: Vector


def draw_scene(seed: int, index: int) -> Scene:
    """Draw scene number `index` of world `seed`; the same pair gives the same scene on every machine."""
    rng = np.random.default_rng([seed, index])
    figure = draw_figure(rng) if rng.random() < FIGURE_SHARE else None
    count = int(rng.integers(0, 2)) if figure else int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))
    azimuth, elevation = rng.uniform(-2.4, -0.7), rng.uniform(0.65, 1.05)
    return Scene(
        solids=_place(rng, count, figure),
        figure=figure,
        floor=str(rng.choice(list(FLOORS))),
        sky=str(rng.choice(list(SKIES))),
        camera=Camera(
            rng.uniform(1.2, 2.1), rng.uniform(4.8, 5.5), rng.uniform(0.75, 0.95), rng.uniform(0.62, 0.7)
        ),
        light=np.array(
            [np.cos(azimuth) * np.cos(elevation), np.sin(elevation), np.sin(azimuth) * np.cos(elevation)]
        ),
    )


def _place(rng: np.random.Generator, count: int, figure: Figure | None) -> tuple[Solid, ...]:
    """Place solids of different colours without overlap; a spot that is taken is drawn anew, ever smaller."""
    taken = [(figure.x, figure.z, FIGURE_CLEARANCE)] if figure else []
    colours = rng.permutation(list(COLOURS))[:count]
    solids: list[Solid] = []
    for colour in colours:
        for attempt in range(200):
            size = rng.uniform(0.45, 0.75) * (1 - attempt / 400)
            x, z = rng.uniform(-1.2, 1.2), rng.uniform(-0.6, 1.2)
            if all(
                np.hypot(x - a, z - b) > 1.15 * size + r and abs(x - a) > 0.7 * (size + r)
                for a, b, r in taken
            ):
                break
        else:
            continue  # the floor is full
        taken.append((x, z, 1.15 * size))
        kind = str(rng.choice(SOLIDS))
        solids.append(Solid(kind, str(colour), x, z, size, rng.uniform(-0.7, 0.7)))
    return tuple(solids)
