"""Circles on a ground: a data set after Fill50K, the field's hello world.

Fill50K's generator was never published. The ranges here (centre 100 … 410, radius 64 … 256, a ring about 5 px
wide on 512 px pictures) are estimates read from its sample pictures, and so are the colour names, split into
words as its prompts have them.
"""

import random
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import ImageColor

from controlnet.data.pictures import Pixels

SIDE: Final = 512  # px; all lengths below are for pictures of this side
CENTRE: Final = (100.0, 410.0)
RADIUS: Final = (64.0, 256.0)
RING: Final = 5.0
THINNEST: Final = 1.5  # px at any size: a thinner ring has gaps

# The CSS names, synonyms (aqua, cyan) kept.
_NAMES: Final = """
alice blue, antique white, aqua, aquamarine, azure, beige, bisque, black, blanched almond, blue, blue
violet, brown, burly wood, cadet blue, chartreuse, chocolate, coral, cornflower blue, corn silk, crimson,
cyan, dark blue, dark cyan, dark golden rod, dark gray, dark green, dark khaki, dark magenta, dark olive
green, dark orange, dark orchid, dark red, dark salmon, dark sea green, dark slate blue, dark slate gray,
dark turquoise, dark violet, deep pink, deep sky blue, dim gray, dodger blue, fire brick, floral white,
forest green, fuchsia, gainsboro, ghost white, gold, golden rod, gray, green, green yellow, honey dew, hot
pink, indian red, indigo, ivory, khaki, lavender, lavender blush, lawn green, lemon chiffon, light blue,
light coral, light cyan, light golden rod yellow, light gray, light green, light pink, light salmon, light
sea green, light sky blue, light slate gray, light steel blue, light yellow, lime, lime green, linen,
magenta, maroon, medium aquamarine, medium blue, medium orchid, medium purple, medium sea green, medium
slate blue, medium spring green, medium turquoise, medium violet red, midnight blue, mint cream, misty rose,
moccasin, navajo white, navy, old lace, olive, olive drab, orange, orange red, orchid, pale golden rod, pale
green, pale turquoise, pale violet red, papaya whip, peach puff, peru, pink, plum, powder blue, purple, red,
rosy brown, royal blue, saddle brown, salmon, sandy brown, sea green, sea shell, sienna, silver, sky blue,
slate blue, slate gray, snow, spring green, steel blue, tan, teal, thistle, tomato, turquoise, violet,
wheat, white, white smoke, yellow, yellow green
"""
NAMES: Final = tuple(" ".join(name.split()) for name in _NAMES.split(","))


def rgb(name: str) -> tuple[int, int, int]:
    """Give the colour of a name as `NAMES` spells it."""
    red, green, blue = ImageColor.getrgb(name.replace(" ", ""))[:3]
    return red, green, blue


def draw(seed: int, index: int, size: int = SIDE) -> tuple[Pixels, Pixels, str]:
    """Draw example `index` of set `seed`: (source, target, caption), pictures (size, size, 3) uint8.

    source: one white ring on black, not antialiased; target: a flat disc on a flat ground, centred and as
    large as the ring, of unlike colours; both clipped by the border. Deterministic in (seed, index): only the
    guaranteed stream of `random.Random.random` is drawn from. At other sizes the same scene is drawn to
    scale.
    """
    rng = random.Random(f"circles {seed} {index}")
    scale = size / SIDE
    column, row, radius = (
        (low + rng.random() * (high - low)) * scale for low, high in (CENTRE, CENTRE, RADIUS)
    )
    disc = _pick(rng, NAMES)
    ground = _pick(rng, tuple(name for name in NAMES if rgb(name) != rgb(disc)))
    y, x = np.ogrid[:size, :size]
    distance = np.sqrt(
        (x + 0.5 - column) ** 2 + (y + 0.5 - row) ** 2
    )  # exactly rounded everywhere, unlike hypot
    ring = np.abs(distance - radius) <= max(RING * scale, THINNEST) / 2
    source = np.repeat(np.where(ring, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
    target = np.where((distance <= radius)[..., None], rgb(disc), rgb(ground)).astype(np.uint8)
    return source, target, f"{disc} circle with {ground} background"


def _pick(rng: random.Random, names: tuple[str, ...]) -> str:
    return names[int(rng.random() * len(names))]


@dataclass(frozen=True)
class Circles:
    """The set `seed` at one size, as `generate` takes it: index -> (target, source, caption)."""

    seed: int = 0
    size: int = SIDE

    def __call__(self, index: int) -> tuple[Pixels, Pixels, str]:
        """Draw example `index`: picture, control map, caption."""
        source, target, caption = draw(self.seed, index, self.size)
        return target, source, caption
