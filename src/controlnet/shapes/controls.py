"""The true control maps of a rendered scene, by the conventions of the published ControlNets."""

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from controlnet.conditions._pose import draw_body
from controlnet.errors import UnknownName
from controlnet.shapes.drawing import lineart_map, scribble_map
from controlnet.shapes.palette import CLASS_COLOURS

Map = NDArray[np.uint8]


class Surfaces(Protocol):
    """What the maps are drawn from: a rendered `View`, or what the judge reads from a picture."""

    @property
    def depth(self) -> NDArray[np.float32]:
        """Distances (H, W) in world units, inf in the sky."""
        ...

    @property
    def normals(self) -> NDArray[np.float32]:
        """Unit normals (H, W, 3) in camera axes, 0 in the sky."""
        ...

    @property
    def classes(self) -> NDArray[np.uint8]:
        """Indices (H, W) of `palette.CLASSES`."""
        ...

    @property
    def tints(self) -> NDArray[np.uint8]:
        """1 + indices (H, W) of `palette.COLOURS`; 0 for floor, sky and skin."""
        ...

    @property
    def keypoints(self) -> NDArray[np.float32] | None:
        """The mannequin's joints (18, 3), x and y in pixels and a score, or None."""
        ...


def draw_control(view: Surfaces, name: str) -> Map:
    """Draw the control map `name` of a view, (H, W, 3) uint8; raises UnknownName for one it has not."""
    if name not in _DRAW:
        raise UnknownName(f"the renderer knows no true map {name!r}; it knows {', '.join(_DRAW)}")
    return _DRAW[name](view)


def depth_map(depth: NDArray[np.float32]) -> Map:
    """Draw inverse depth, near bright and the sky black, stretched to its own range as MiDaS does."""
    inverse = np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-3), 0.0)
    grey = np.rint(255 * inverse / max(float(inverse.max()), 1e-6)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def normal_map(normals: NDArray[np.float32]) -> Map:
    """Draw normals as colours: red right, green up, blue to the viewer; grey where there is no surface."""
    return np.rint((normals * 0.5 + 0.5) * 255).astype(np.uint8)


def class_map(classes: NDArray[np.uint8]) -> Map:
    """Draw classes in the world's own palette."""
    return CLASS_COLOURS[classes]


def pose_map(keypoints: NDArray[np.float32] | None, height: int, width: int) -> Map:
    """Draw the mannequin's pose on black; a scene without one gives a black map."""
    return draw_body(np.zeros((18, 3)) if keypoints is None else keypoints, height, width)


_DRAW: Final[dict[str, Callable[[Surfaces], Map]]] = {
    "depth": lambda view: depth_map(view.depth),
    "normal": lambda view: normal_map(view.normals),
    "segmentation": lambda view: class_map(view.classes),
    "openpose": lambda view: pose_map(view.keypoints, *view.classes.shape),
    "lineart": lineart_map,
    "scribble": scribble_map,
}
