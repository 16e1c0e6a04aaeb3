"""Normals of the surface that a map of nearness makes over the picture."""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float

from controlnet.conditions._image import Pixels

Order = Literal["xyz", "zyx"]


def relief(
    near: Float[np.ndarray, "h w"],
    flatness: float,
    order: Order,
    flat: Bool[np.ndarray, "h w"] | None = None,
) -> Pixels:
    """Return normals as colours, 127 being 0: x to the left, y up, z to the viewer.

    near: inverse depth, in units of which Sobel's derivatives (3×3) become x and y; flatness: z; flat: where
    x and y are 0. order: "xyz" shows x in red, "zyx" in blue. Source: ControlNet 1.0, annotator/midas.
    """
    x, y = (np.asarray(cv2.Sobel(near, cv2.CV_32F, *axis, ksize=3)) for axis in ((1, 0), (0, 1)))
    if flat is not None:
        x[flat], y[flat] = 0, 0
    normals = np.stack([x, y, np.full_like(x, flatness)], axis=2)
    normals /= np.sqrt((normals**2).sum(axis=2, keepdims=True))
    colours = (normals * 127.5 + 127.5).clip(0, 255).astype(np.uint8)
    return colours if order == "xyz" else np.ascontiguousarray(colours[..., ::-1])
