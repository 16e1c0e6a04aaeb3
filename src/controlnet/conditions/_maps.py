"""From what a detector found to a map of three equal channels."""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from controlnet.conditions._image import Pixels


def grey(values: UInt8[np.ndarray, "h w"]) -> Pixels:
    """Return brightness as a map of three equal channels."""
    return np.repeat(values[..., None], 3, axis=2)


def white(where: Bool[np.ndarray, "h w"]) -> Pixels:
    """Return a map that is white where something was found, and black elsewhere."""
    return grey(where.astype(np.uint8) * np.uint8(255))


def safe(strength: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """Reduce the strength of edges, in [0, 1], to 0, 127 and 255: none, weak, strong.

    So no picture can be hidden in a map's faint greys. Source: ControlNet 1.1, `safe_step` with two steps:
    trunc(3x) / 2, cut off at 1.
    """
    return (np.trunc(strength * 3) * 127.5).clip(0, 255).astype(np.uint8)


def least(pixels: np.ndarray) -> np.ndarray:
    """Return the least of the three channels at each pixel, (H, W) of (H, W, 3)."""
    return np.minimum(np.minimum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])
