"""The named things of the world: what a caption can say, a judge can read and a segmentation map can show."""

from typing import Final

import numpy as np

Colour = tuple[float, float, float]

SOLIDS: Final = ("sphere", "cube", "cylinder", "cone", "torus")

COLOURS: Final[dict[str, Colour]] = {
    "red": (0.80, 0.07, 0.07),
    "orange": (0.95, 0.42, 0.04),
    "yellow": (0.95, 0.80, 0.08),
    "green": (0.09, 0.52, 0.13),
    "blue": (0.07, 0.20, 0.78),
    "purple": (0.42, 0.10, 0.62),
    "pink": (0.95, 0.40, 0.62),
    "white": (0.92, 0.92, 0.92),
}

FLOORS: Final[dict[str, Colour]] = {
    "sand": (0.82, 0.68, 0.42),
    "grass": (0.35, 0.52, 0.18),
    "snow": (0.88, 0.91, 0.95),
    "clay": (0.58, 0.30, 0.20),
    "slate": (0.30, 0.33, 0.38),
}

# Zenith and horizon of each sky.
SKIES: Final[dict[str, tuple[Colour, Colour]]] = {
    "clear": ((0.18, 0.42, 0.82), (0.70, 0.84, 0.95)),
    "sunset": ((0.30, 0.18, 0.42), (0.98, 0.62, 0.34)),
    "night": ((0.02, 0.03, 0.10), (0.12, 0.16, 0.32)),
    "cloudy": ((0.50, 0.54, 0.58), (0.78, 0.80, 0.82)),
}

SKIN: Final[Colour] = (0.86, 0.62, 0.47)

# Class ids of the segmentation map, in this order; the palette is ours, spread for the eye and for decoding
# by the nearest colour.
CLASSES: Final = ("sky", "floor", *SOLIDS, "person")
CLASS_COLOURS: Final = np.array(
    [
        (70, 130, 180),
        (128, 128, 64),
        (220, 20, 60),
        (255, 170, 0),
        (60, 200, 60),
        (160, 32, 240),
        (0, 220, 220),
        (255, 200, 180),
    ],
    dtype=np.uint8,
)
