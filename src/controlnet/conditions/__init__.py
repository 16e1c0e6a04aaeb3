"""Conditions: pictures into control maps; `annotate`, `conditions`, `condition`.

A file here without a leading underscore is a condition, found by its name (see `controlnet.registry`).
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, overload

from controlnet import registry

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from controlnet.conditions._base import Condition
    from controlnet.conditions._image import Fit

__all__ = ["annotate", "condition", "conditions"]


def conditions() -> tuple[str, ...]:
    """Return the names of all conditions, sorted, without importing any."""
    return registry.names("conditions")


def condition(spec: "str | Condition") -> "Condition":
    """Return a condition from a text such as "canny(low=50)", from an alias, or "package.module:Class".

    Raises UnknownName, which lists near names, and SettingError for settings that do not fit.
    """
    return registry.get("conditions", spec) if isinstance(spec, str) else spec


@overload
def annotate(
    spec: "str | Condition",
    image: "np.ndarray",
    *,
    pixel_perfect: tuple[int, int] | None = None,
    fit: "Fit" = "crop",
) -> "np.ndarray": ...
@overload
def annotate(
    spec: "str | Condition",
    image: "str | Path | Image.Image",
    *,
    pixel_perfect: tuple[int, int] | None = None,
    fit: "Fit" = "crop",
) -> "Image.Image": ...
def annotate(
    spec: "str | Condition",
    image: "str | Path | Image.Image | np.ndarray",
    *,
    pixel_perfect: tuple[int, int] | None = None,
    fit: "Fit" = "crop",
) -> "Image.Image | np.ndarray":
    """Return the control map of a picture at the picture's own size: an array for an array, else a PIL image.

    The map is uint8 of H×W×3 (RGB). A file or PIL image is turned upright by its EXIF orientation first, so
    its map has the upright size. Arrays may be H×W, or H×W×1, 3 or 4, of uint8, uint16, bool, or float in
    [0, 1]. With `pixel_perfect`, the width and height of what will be generated from the map, the detector
    works at the resolution at which the map will be used, whatever its own; `fit` tells how the map will be
    brought to that size ("crop", "fill" or "stretch"). Raises DataError for what is no usable picture, and
    what `condition` raises for the text.
    """
    from controlnet.conditions._image import to_array

    detector, pixels = condition(spec), to_array(image)
    if pixel_perfect is not None:
        width, height = pixel_perfect
        detector = detector.pixel_perfect(pixels.shape[:2], (height, width), fit)
    result = detector(pixels)
    if hasattr(image, "dtype"):
        return result

    from PIL import Image

    return Image.fromarray(result)


class _Callable(ModuleType):
    """Once imported, the package stands where users call `controlnet.conditions()`: so it can be called."""

    def __call__(self) -> tuple[str, ...]:
        """Return the names of all conditions."""
        return conditions()


sys.modules[__name__].__class__ = _Callable
