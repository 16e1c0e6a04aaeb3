"""What the conditions of soft edges and of scribbles have in common."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from controlnet.conditions._image import Pixels, padded
from controlnet.conditions._weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

HED_PAPER: Final = "S. Xie, Z. Tu, Holistically-Nested Edge Detection, arXiv 1504.06375"
HED_WEIGHTS: Final = Weights(
    repo="lllyasviel/Annotators",
    file="ControlNetHED.pth",
    megabytes=29.4,
    licence="Apache-2.0",
    sha256="5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa",
    stand_in="softedge_gradient",
)
PIDINET_PAPER: Final = "Z. Su et al., Pixel Difference Networks for Efficient Edge Detection, 2108.07009"
PIDINET_WEIGHTS: Final = Weights(
    repo="lllyasviel/Annotators",
    file="table5_pidinet.pth",
    megabytes=2.9,
    licence="research only",
    stand_in="softedge_gradient",
)
MULTIPLE: Final = 64  # as the published annotators pad their pictures
SAFE: Final = "round to black, grey and white, which hides what of the picture shows through in faint edges"

_STEPS: Final = 2  # of brightness, from black: with "safe"
_BLUR: Final = 3.0  # pixels: before lines are thinned, and again to make them broad
_RIDGE: Final = 127  # brightness of a line that is kept
_BROAD: Final = 4  # brightness, of what is blurred, that becomes white

# Across a ridge: from left to right, from top to bottom, and on both diagonals.
_ACROSS: Final = tuple(
    np.array(kernel, np.uint8)
    for kernel in (
        [[0, 0, 0], [1, 1, 1], [0, 0, 0]],
        [[0, 1, 0], [0, 1, 0], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    )
)


def hed_edges(image: Pixels, weights: Weights, safe: bool) -> Pixels:
    """Return the soft edges that HED finds in a picture; `safe`: in three brightnesses."""
    from controlnet.conditions._networks.hed import HED
    from controlnet.conditions._networks.load import network, to_input

    log_odds = network(HED, weights)(to_input(image))[0]
    return _soft_edges(log_odds.double().sigmoid(), safe)


def pidinet_edges(image: Pixels, weights: Weights, safe: bool) -> Pixels:
    """Return the soft edges that PiDiNet finds in a picture, which sees it in BGR as in ControlNet 1.1."""
    from controlnet.conditions._networks.load import network, to_input
    from controlnet.conditions._networks.pidinet import PiDiNet

    bgr = to_input(image).flip(1) / 255
    return _soft_edges(network(PiDiNet, weights)(bgr)[0].sigmoid(), safe)


def _soft_edges(edges: "Tensor", safe: bool) -> Pixels:
    """Return the map of probabilities of an edge (H, W): white where one is certain.

    With `safe` there are three brightnesses. Source: ControlNet 1.1, annotator/util.py: thirds of the range
    become 0, ½ and 1.
    """
    from controlnet.conditions._networks.load import to_map

    if safe:
        edges = ((_STEPS + 1) * edges.float()).floor() / _STEPS  # 1.5 if it is certain: cut off below
    return to_map(edges)


def scribbled(image: Pixels, edges: Callable[[Pixels], Pixels]) -> Pixels:
    """Return what a hand would draw along a picture's soft edges: broad white strokes on black.

    The network sees the picture padded, as it needs it, but lines are sought in what is shown of its map.
    Source: ControlNet 1.1, gradio_scribble.py: the edges, blurred (σ = 3), are thinned to where they are the
    greatest across one of four directions and brighter than 127; blurred again, what is above 4 is white.
    """
    height, width = image.shape[:2]
    found = edges(padded(image, MULTIPLE))[:height, :width, 0]
    smooth = cv2.GaussianBlur(found.astype(np.float32), (0, 0), _BLUR)
    ridges = np.any([cv2.dilate(smooth, across) == smooth for across in _ACROSS], axis=0)
    thin = np.where(ridges & (smooth > _RIDGE), 255, 0).astype(np.uint8)
    broad = cv2.GaussianBlur(thin, (0, 0), _BLUR) > _BROAD
    return np.repeat(np.where(broad, 255, 0).astype(np.uint8)[..., None], 3, axis=2)
