"""How close the embedded world's conditions come to its true maps, on scenes that the judge has not seen.

python benchmarks/shapes_conditions.py [SCENES]
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from controlnet.conditions import condition
from controlnet.evaluation.metrics.msssim import fitting, ms_ssim
from controlnet.shapes import render

if TYPE_CHECKING:
    from benchmarks.frame import Report

WORLD = 2  # kept for measuring; base, judge and controls learn from others


def grey_rmse(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    return float(np.sqrt(np.square((found.astype(float) - true) / 255).mean()))


def degrees(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Mean angle between the normals of the two maps, where the true one has any."""
    a, b = (pixels.astype(float) / 127.5 - 1 for pixels in (found, true))
    surface = np.linalg.norm(b, axis=-1) > 0.5
    a, b = a[surface], b[surface]
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    cosine = (a * b).sum(axis=-1) / np.maximum(lengths, 1e-6)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))).mean())


def same_colour(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    return float((found == true).all(axis=-1).mean())


def overlap(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Pixels drawn in both over pixels drawn in either; not a number where both are black."""
    a, b = found.any(axis=-1), true.any(axis=-1)
    return float((a & b).sum() / (a | b).sum()) if (a | b).any() else float("nan")


def likeness(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """MS-SSIM of two grey maps."""
    one, other = (torch.from_numpy(pixels[None, None, ..., 0] / 255) for pixels in (found, true))
    return ms_ssim(one, other, fitting(min(found.shape[:2])))


MEASURES = {
    "depth": ("RMSE, white being 1", grey_rmse),
    "normal": ("mean angle, degrees", degrees),
    "segmentation": ("share of pixels of the same class", same_colour),
    "openpose": ("intersection over union of what is drawn", overlap),
    "lineart": ("MS-SSIM", likeness),
    "scribble": ("intersection over union of what is drawn", overlap),
}


def compared(scenes: int) -> Iterator[tuple[str, str, float, float]]:
    """Give condition, what is measured, its mean and its median over the first scenes of the world."""
    views = [render(WORLD, index) for index in range(scenes)]
    for name, (what, measured) in MEASURES.items():
        detector = condition(f"shapes_{name}")
        values = [measured(detector(view.image), view.control(name)) for view in views]
        yield f"shapes_{name}", what, float(np.nanmean(values)), float(np.nanmedian(values))


def measure(repeats: int = 100) -> "Report":
    """Compare on so many scenes, for `python -m benchmarks`."""
    from benchmarks.frame import Figure, Report

    figures = [Figure(f"{name}: {what}", mean, "") for name, what, mean, _ in compared(repeats)]
    question = f"How close do the embedded world's conditions come to its true maps? {repeats} scenes."
    return Report("shapes_conditions", question, figures)


def main(scenes: int = 200) -> None:
    print(f"{scenes} scenes of world {WORLD}")
    for name, what, mean, middle in compared(scenes):
        print(f"{name:20} {what}: {mean:.3f} (median {middle:.3f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
