"""Soft edges without a network: where colours change, at several sizes at once."""

from typing import ClassVar, Final, final

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from controlnet.conditions._base import Condition, Family, Resolution
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey, safe

Floats = NDArray[np.float32]

# By eye, for maps as thick and as bright as HED's on photographs whose short side is 512.
_SPREAD: Final = 5  # of the edge-preserving filter, in pixels
_RANGE: Final = 40.0  # differences of brightness below which it blurs
_PASSES: Final = 2
_TYPICAL: Final = 18.0  # steepness of a clear edge, in steps of brightness
_SHARPNESS: Final = 1.5  # above 1: faint edges grow fainter
_SURROUNDINGS: Final = 2.5  # σ at a quarter of the size, hence 10 pixels


@final
class SoftedgeGradient(Condition):
    """Soft light edges on black, thick and smooth, like HED's, in place of which it stands.

    A bilateral filter takes out texture; Scharr's gradient, the steepest of the three channels, is measured
    at sizes that double; the mean, less what is around (texture has edges everywhere, an outline has not),
    is put on a curve from 0 to 255. Nothing depends on the picture's extremes: a plain wall stays black.
    `safe` leaves 0, 127 and 255, as "softedge_hedsafe" does.
    Source of the convention: ControlNet 1.1, control_v11p_sd15_softedge, which was trained on HED's and
    PiDiNet's maps, both light on black, three quarters of them "safe".
    """

    title: ClassVar[str] = "Soft edges by gradients: light outlines on black"
    family: ClassVar[Family] = "edges"
    paper: ClassVar[str] = (
        "H. Scharr, Optimale Operatoren, 2000; C. Grigorescu et al., surround suppression, IVC 22(8), 2004"
    )
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"

    resolution: Resolution = 512
    scales: int = Field(default=3, ge=1, le=5, description="number of sizes of edges, each twice the last")
    strength: float = Field(default=1.0, ge=0.1, le=10.0, description="factor on how clear edges are")
    suppression: float = Field(
        default=0.8, ge=0.0, le=1.0, description="how much texture is suppressed: 0 leaves all edges"
    )
    safe: bool = Field(default=False, description="reduce the map to black, grey and white")

    def detect(self, image: Pixels) -> Pixels:
        """Return the soft edges of a picture."""
        smooth = image
        for _ in range(_PASSES):
            smooth = np.asarray(cv2.bilateralFilter(smooth, _SPREAD, _RANGE, _SPREAD))
        found = _steepness(smooth, self.scales)
        found = np.maximum(found - np.float32(self.suppression) * _around(found), 0)
        clear = 1 - np.exp(-((found * (self.strength / _TYPICAL)) ** _SHARPNESS))
        return grey(safe(clear) if self.safe else (clear * 255).astype(np.uint8))


def _steepness(image: Pixels, scales: int) -> Floats:
    """Return the change of colour over the width of an edge, the mean of several such widths, (H, W)."""
    level = np.asarray(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0), np.float32)
    sizes: list[tuple[int, int]] = []
    total = np.zeros(image.shape[:2], np.float32)
    for scale in range(scales):
        total += _enlarged(_gradient(level), sizes)
        if scale + 1 < scales:
            sizes.append((level.shape[1], level.shape[0]))
            level = np.asarray(cv2.pyrDown(level), np.float32)
    return total / np.float32(scales)


def _gradient(image: Floats) -> Floats:
    """Return the steepest slope of the three channels in each pixel, in steps of brightness per pixel."""
    squares = np.zeros(image.shape[:2], np.float32)
    for channel in cv2.split(image):
        across, down = (cv2.Scharr(channel, cv2.CV_32F, *way, scale=1 / 32) for way in ((1, 0), (0, 1)))
        np.maximum(squares, across * across + down * down, out=squares)
    return np.sqrt(squares)


def _enlarged(values: Floats, sizes: list[tuple[int, int]]) -> Floats:
    """Bring what was measured on a smaller level back through the sizes that lie between."""
    for size in reversed(sizes):
        values = np.asarray(cv2.pyrUp(values, dstsize=size), np.float32)
    return values


def _around(values: Floats) -> Floats:
    """Return the mean over the surroundings; at a quarter of the size, where a wide blur is cheap."""
    sizes = [(values.shape[1], values.shape[0])]
    half = np.asarray(cv2.pyrDown(values))
    sizes.append((half.shape[1], half.shape[0]))
    quarter = cv2.GaussianBlur(cv2.pyrDown(half), (0, 0), _SURROUNDINGS)
    return _enlarged(np.asarray(quarter, np.float32), sizes)
