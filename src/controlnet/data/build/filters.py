"""Which pictures are not worth having."""

from typing import Any

import cv2

from controlnet.data.build.recipe import Recipe
from controlnet.data.example import BadExample
from controlnet.data.pictures import Pixels


def check(image: Pixels, recipe: Recipe, name: str) -> None:
    """Raise BadExample for a picture (H, W, 3) that is too small, too narrow, too wide, or blank."""
    height, width = image.shape[:2]
    if min(height, width) < recipe.least_side:
        raise BadExample("too small", name)
    if not recipe.narrowest <= width / height <= recipe.widest:
        raise BadExample("aspect", name)
    _, deviation = cv2.meanStdDev(_grey(image))
    if float(deviation[0][0]) < recipe.blank:
        raise BadExample("blank", name)


def _grey(image: Pixels) -> Any:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
