"""Straight lines without a network."""

from collections.abc import Callable, Mapping
from typing import ClassVar, Literal, final

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray
from pydantic import Field

from controlnet.conditions._base import Condition, Family
from controlnet.conditions._image import Pixels
from controlnet.conditions._maps import grey

Method = Literal["lsd", "fld", "edge_drawing", "hough"]
Bytes = NDArray[np.uint8]

_SHORTEST = 6  # pixels: shorter ones have hardly a direction; in smaller pictures FastLineDetector fails


@final
class Lines(Condition):
    """Straight lines, white on black and one pixel wide, as M-LSD's maps, in place of which it stands.

    Methods: "lsd" (LineSegmentDetector), "fld" (FastLineDetector), "edge_drawing" (EDLines), all of OpenCV,
    and "hough" (Canny at 100 and 200, then the probabilistic Hough transform). A picture without lines gives
    black. Source of the convention: ControlNet 1.0 and 1.1, annotator/mlsd, for control_v11p_sd15_mlsd.
    M-LSD finds fewer lines, and each once, where an edge detector finds both sides of a bar.
    """

    title: ClassVar[str] = "Straight lines: white on black, one pixel wide"
    family: ClassVar[Family] = "lines"
    paper: ClassVar[str] = "R. Grompone von Gioi et al., LSD: a Line Segment Detector, IPOL 2, 2012"
    licence: ClassVar[str] = "Apache-2.0 (OpenCV)"
    label_map: ClassVar[bool] = True
    aliases: ClassVar[Mapping[str, str]] = {"lsd": "lines", "hough": "lines(method='hough')"}

    method: Method = Field(default="lsd", description="which detector finds the lines")
    min_length: float = Field(
        default=0.05, ge=0.0, le=1.0, description="shortest line, as a part of the picture's short side"
    )
    thickness: int = Field(default=1, ge=1, le=32, description="width of the drawn lines in pixels")

    def detect(self, image: Pixels) -> Pixels:
        """Return the straight lines of a picture."""
        canvas = np.zeros(image.shape[:2], np.uint8)
        short = min(canvas.shape)
        if short < _SHORTEST:
            return grey(canvas)
        least = max(_SHORTEST, self.min_length * short)
        found = _METHODS[self.method](np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8), least)
        # OpenCV 4 gives (N, 1, 4), OpenCV 5 (N, 4), and both None where there is no line.
        ends = np.zeros((0, 2, 2)) if found is None else np.asarray(found).reshape(-1, 2, 2)
        ends = ends[np.hypot(*(ends[:, 0] - ends[:, 1]).T) >= least]
        cv2.polylines(canvas, list(np.rint(ends).astype(np.int32)), False, 255, self.thickness)
        return grey(canvas)


def _lsd(image: Bytes, least: float) -> MatLike | None:
    return cv2.createLineSegmentDetector().detect(image)[0]


def _fld(image: Bytes, least: float) -> MatLike | None:
    return cv2.ximgproc.createFastLineDetector(length_threshold=int(least)).detect(image)


def _edge_drawing(image: Bytes, least: float) -> MatLike | None:
    detector = cv2.ximgproc.createEdgeDrawing()
    detector.detectEdges(image)
    return detector.detectLines()


def _hough(image: Bytes, least: float) -> MatLike | None:
    edges = cv2.Canny(image, 100, 200)
    votes, gap = max(1, int(least)), max(1, int(least / 8))
    return cv2.HoughLinesP(edges, 1, np.pi / 180, votes, minLineLength=int(least), maxLineGap=gap)


_METHODS: dict[Method, Callable[[Bytes, float], MatLike | None]] = {
    "lsd": _lsd,
    "fld": _fld,
    "edge_drawing": _edge_drawing,
    "hough": _hough,
}
