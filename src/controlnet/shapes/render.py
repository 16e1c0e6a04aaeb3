"""From a scene to a picture and, from the same rays, its exact depth, normals, classes and keypoints."""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from controlnet.shapes.captions import caption
from controlnet.shapes.figure import LIMBS, Figure
from controlnet.shapes.palette import CLASSES, COLOURS, FLOORS, SKIES, SKIN
from controlnet.shapes.scene import Scene, draw_scene
from controlnet.shapes.solids import UNIT, Body, capsule, placed

Array = NDArray[np.float64]
_Value = TypeVar("_Value", bound=np.generic)

FAR: Final = 40.0  # world units; the floor has faded into the horizon long before
OVERSAMPLING: Final = 2  # rays a pixel along each side
AMBIENT: Final = 0.42


@dataclass(frozen=True)
class View:
    """A rendered scene of H×W pixels.

    image (H, W, 3) uint8; caption; depth (H, W) float32, distance along the ray in world units, inf in the
    sky; normals (H, W, 3) float32 in camera axes (x right, y up, z to the viewer), 0 in the sky; classes
    (H, W) uint8, indices of `palette.CLASSES`; instances (H, W) uint8, 0 for floor and sky, 1 … for the
    things; tints (H, W) uint8, 1 + the index in `palette.COLOURS`, 0 for floor, sky and skin; keypoints
    (18, 3) float32 of the mannequin, x and y in pixels and 1 where seen, or None; scene, what is known of it.
    """

    image: NDArray[np.uint8]
    caption: str
    depth: NDArray[np.float32]
    normals: NDArray[np.float32]
    classes: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    tints: NDArray[np.uint8]
    keypoints: NDArray[np.float32] | None
    scene: Scene

    def control(self, name: str) -> NDArray[np.uint8]:
        """Draw a true control map of `draw_control` ("depth", "openpose", "lineart" …), (H, W, 3) uint8."""
        from controlnet.shapes.controls import draw_control

        return draw_control(self, name)


def render(seed: int, index: int, size: int = 128) -> View:
    """Render picture number `index` of world `seed`, `size` pixels square; deterministic in its arguments."""
    scene = draw_scene(seed, index)
    return render_scene(scene, size, caption(scene, np.random.default_rng([seed, index, 1])))


def render_scene(scene: Scene, size: int, text: str) -> View:
    """Render a given scene, `size` pixels square, to be captioned with `text`."""
    side = size * OVERSAMPLING
    origin, directions = scene.camera.rays(side)
    bodies = _bodies(scene)
    hits = _first_hits(scene, bodies, origin, directions)
    lit = _shade(scene, bodies, origin, directions, hits)
    image = lit.reshape(size, OVERSAMPLING, size, OVERSAMPLING, 3).mean(axis=(1, 3))
    encoded = np.clip(image, 0, 1) ** (1 / 2.2)

    def sampled(values: NDArray[_Value]) -> NDArray[_Value]:
        return values.reshape(side, side, *values.shape[1:])[::OVERSAMPLING, ::OVERSAMPLING]

    depth, classes = sampled(hits.depth).astype(np.float32), sampled(hits.labels)
    return View(
        image=(encoded * 255 + 0.5).astype(np.uint8),
        caption=text,
        depth=depth,
        normals=(sampled(hits.normals) @ _camera_axes(scene).T).astype(np.float32),
        classes=classes,
        instances=sampled(hits.instances),
        tints=sampled(hits.tints),
        keypoints=_keypoints(scene, size, depth, classes),
        scene=scene,
    )


@dataclass(frozen=True)
class _Hits:
    """The nearest surface on each ray: t, classes, instances, tints (N,), world normals and albedo (N, 3)."""

    depth: Array
    normals: Array
    albedo: Array
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint8]
    tints: NDArray[np.uint8]


def _bodies(scene: Scene) -> list[Body]:
    names = list(COLOURS)
    bodies = [
        Body(
            distance=placed(UNIT[solid.kind], solid.centre, solid.size, solid.yaw),
            centre=solid.centre,
            radius=solid.size * 1.6,
            label=CLASSES.index(solid.kind),
            instance=number,
            tint=names.index(solid.colour) + 1,
            albedo=np.array(COLOURS[solid.colour]),
        )
        for number, solid in enumerate(scene.solids, start=1)
    ]
    return bodies + (_limbs(scene.figure, len(bodies) + 1) if scene.figure else [])


def _limbs(figure: Figure, number: int) -> list[Body]:
    clothes = {"shirt": figure.shirt, "trousers": figure.trousers}
    names = list(COLOURS)
    limbs = []
    for first, last, radius, part in LIMBS:
        a, b = figure.joints[first], figure.joints[last]
        limbs.append(
            Body(
                distance=capsule(a, b, radius),
                centre=(a + b) / 2,
                radius=float(np.linalg.norm(b - a)) / 2 + radius + 0.01,
                label=CLASSES.index("person"),
                instance=number,
                tint=names.index(clothes[part]) + 1 if part in clothes else 0,
                albedo=np.array(COLOURS[clothes[part]] if part in clothes else SKIN),
            )
        )
    return limbs


def _first_hits(scene: Scene, bodies: list[Body], origin: Array, directions: Array) -> _Hits:
    down = directions[:, 1] < -1e-6
    depth = np.where(down, -origin[1] / np.where(down, directions[:, 1], -1.0), np.inf)
    depth[depth > FAR] = np.inf
    seen = np.isfinite(depth)
    hits = _Hits(
        depth=depth,
        normals=np.where(seen[:, None], [0.0, 1.0, 0.0], 0.0),
        albedo=np.broadcast_to(np.array(FLOORS[scene.floor]), directions.shape).copy(),
        labels=np.where(seen, CLASSES.index("floor"), CLASSES.index("sky")).astype(np.uint8),
        instances=np.zeros(len(depth), dtype=np.uint8),
        tints=np.zeros(len(depth), dtype=np.uint8),
    )
    for body in bodies:
        rays, t = body.trace(origin, directions)
        nearer = t < depth[rays]
        rays, t = rays[nearer], t[nearer]
        depth[rays], hits.albedo[rays] = t, body.albedo
        hits.labels[rays], hits.instances[rays], hits.tints[rays] = body.label, body.instance, body.tint
        hits.normals[rays] = body.normals(origin + t[:, None] * directions[rays])
    return hits


def _shade(scene: Scene, bodies: list[Body], origin: Array, directions: Array, hits: _Hits) -> Array:
    """Light every ray: sky gradient, Lambert with hard shadows, a small highlight, haze far away."""
    zenith, horizon = (np.array(c) ** 2.2 for c in SKIES[scene.sky])
    height = np.clip(directions[:, 1:2] * 2.5, 0, 1)
    colour = horizon + (zenith - horizon) * height
    seen = np.flatnonzero(np.isfinite(hits.depth))
    points = origin + hits.depth[seen, None] * directions[seen] + 2e-3 * hits.normals[seen]
    facing = hits.normals[seen] @ scene.light
    open_to_light = facing > 0
    toward = np.broadcast_to(scene.light, points.shape)
    for body in bodies:
        blocked, _ = body.trace(points, toward)
        open_to_light[blocked] = False
    direct = np.where(open_to_light, np.maximum(facing, 0), 0)
    ambient = AMBIENT * (0.75 + 0.25 * hits.normals[seen, 1])
    lit = hits.albedo[seen] ** 2.2 * (ambient + 0.85 * direct)[:, None]
    halfway = scene.light - directions[seen]
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    shine = np.clip(np.einsum("ni,ni->n", hits.normals[seen], halfway), 0, 1) ** 40
    solid = hits.labels[seen] != CLASSES.index("floor")
    lit += (0.25 * shine * open_to_light * solid)[:, None]
    brightness = 0.55 if scene.sky == "night" else 1.0
    haze = np.where(solid, 0.0, np.clip((hits.depth[seen] - 7) / 22, 0, 1))[:, None]
    colour[seen] = lit * brightness * (1 - haze) + horizon * haze
    return colour


def _camera_axes(scene: Scene) -> Array:
    _, right, up, forward = scene.camera.frame()
    return np.stack([right, up, -forward])


def _keypoints(
    scene: Scene, size: int, depth: NDArray[np.float32], classes: NDArray[np.uint8]
) -> NDArray[np.float32] | None:
    """Project the mannequin's joints, (18, 3): x, y in pixels, 1 where not outside nor behind a solid."""
    if scene.figure is None:
        return None
    joints = scene.figure.keypoints
    position = scene.camera.project(joints) * size
    inside = ((position >= 0) & (position < size)).all(axis=1)
    column, row = np.clip(position.astype(int), 0, size - 1).T
    distance = np.linalg.norm(joints - scene.camera.frame()[0], axis=1)
    solid = (classes[row, column] > CLASSES.index("floor")) & (classes[row, column] < CLASSES.index("person"))
    hidden = solid & (depth[row, column] < distance - 0.3)
    return np.column_stack([position, inside & ~hidden]).astype(np.float32)
