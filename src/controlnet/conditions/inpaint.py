"""The picture with black holes, where it is to be painted anew."""

from collections.abc import Mapping
from typing import ClassVar, Literal, final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from controlnet.conditions._base import Family
from controlnet.conditions._chance import Chance
from controlnet.conditions._image import Pixels

_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0), "green": (0, 255, 0), "magenta": (255, 0, 255)}


@final
class Inpaint(Chance):
    """The picture, RGB, in which what is to be painted anew is black, (0, 0, 0), and nothing else is.

    What is black in the picture itself becomes (1, 1, 1), so that the map alone tells the mask. As the
    picture is the only input, it carries the mask: by a colour (transparent pixels of a file are white, as
    in every condition), or none yet: "random" makes holes such as one trains with.
    Source: ControlNet 1.1, gradio_inpaint.py, which shows this map. The network itself sees −1 in the holes,
    and the rest in [0, 1]: hint = c·(1 − m) − m. A map of bytes cannot hold −1; whoever makes the hint puts
    it where the map is black. Half of the masks that control_v11p_sd15_inpaint was trained with are random,
    half are what moves in front of the picture (its README); how they are drawn is not published.
    """

    title: ClassVar[str] = "The picture with black holes, to be painted anew"
    family: ClassVar[Family] = "colour and layout"
    paper: ClassVar[str] = "L. Zhang, ControlNet 1.1, control_v11p_sd15_inpaint, 2023"
    licence: ClassVar[str] = "Apache-2.0 (this project)"
    aliases: ClassVar[Mapping[str, str]] = {
        "inpaint_only": "inpaint",
        "inpaint_global_harmonious": "inpaint",
    }

    mark: Literal["white", "black", "green", "magenta", "random"] = Field(
        default="white",
        description="what is a hole: pixels of this colour (transparent ones are white), or random shapes",
    )
    tolerance: int = Field(
        default=4, ge=0, le=64, description="how far each channel of a hole may be from the colour, of 255"
    )
    smallest: float = Field(
        default=0.005,
        ge=0.0,
        le=1.0,
        description="least part of the picture that a hole covers; smaller spots of the colour are picture",
    )

    def detect(self, image: Pixels) -> Pixels:
        """Return the picture with its holes in black."""
        if self.mark == "random":
            holes = _random_holes(image.shape[0], image.shape[1], self.numbers(image))
        else:
            holes = _holes(image, _COLOURS[self.mark], self.tolerance, self.smallest)
        found = image.copy()
        found[~image.any(axis=2)] = 1
        found[holes] = 0
        return found


def _holes(image: Pixels, colour: tuple[int, int, int], tolerance: int, smallest: float) -> NDArray[np.bool_]:
    """Return where connected pixels of a colour cover enough."""
    low, high = (tuple(min(max(c + d, 0), 255) for c in colour) for d in (-tolerance, tolerance))
    near = np.asarray(cv2.inRange(image, low, high))
    if not near.any():
        return near > 0
    _, numbers, facts, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    large = np.asarray(facts)[:, cv2.CC_STAT_AREA] >= smallest * near.size
    large[0] = False  # the ground
    return large[np.asarray(numbers, np.int32)]


def _random_holes(height: int, width: int, numbers: np.random.RandomState) -> NDArray[np.bool_]:
    """Return a broad random stroke of a brush, or a box, or both."""
    canvas = np.zeros((height, width), np.uint8)
    size, short = np.array([width, height]), min(height, width)
    kind = numbers.randint(3)
    if kind != 0:
        corner, sides = numbers.uniform(0, 0.75, 2) * size, numbers.uniform(0.15, 0.5, 2) * size
        (left, top), (right, bottom) = (np.rint(at).astype(int) for at in (corner, corner + sides))
        canvas[top : bottom + 1, left : right + 1] = 1
    if kind != 1:
        bends = numbers.uniform(0, 1, (numbers.randint(3, 8), 2)) * size
        thick = max(1, round(short * numbers.uniform(0.05, 0.2)))
        cv2.polylines(canvas, [np.rint(bends).astype(np.int32)], False, 1, thick)
    return canvas > 0
