"""Which metrics suit a condition and a base, and whether they can be taken on this machine."""

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np

from controlnet import registry
from controlnet.conditions import condition as condition_named
from controlnet.errors import MissingWeights, ShapeError
from controlnet.evaluation.metric import Metric

EMBEDDED: Final = ("attributes", "fid_shapes", "kid_shapes")
USUAL: Final = ("fid", "kid", "clip_score", "aesthetic")

_BY_FAMILY: Final = {
    "depth": "depth_rmse",
    "normals": "normal_angle",
    "pose": "pose_pck",
    "segmentation": "segmentation_miou",
}
_BY_NAME: Final = {
    "shapes_depth": "depth_rmse",
    "shapes_normal": "normal_angle",
    "shapes_openpose": "pose_pck",
    "shapes_segmentation": "segmentation_miou",
}

log = logging.getLogger(__name__)


def adherence(spec: str) -> str:
    """Return the metric that tells how far pictures obey a condition, with the condition for its annotator.

    Canny has the edges' F1, depth the RMSE, normals the angle, poses the PCK, segmentation the mIoU; soft
    edges, line art and whatever else is drawn have the MS-SSIM. So ControlNet++ (2404.07987) chooses.
    """
    detector = condition_named(spec)
    name = detector.name()
    if name == "canny":
        low, high = (getattr(detector, field) for field in ("low", "high"))
        return "edge_f1" if (low, high) == (100, 200) else f"edge_f1(low={low}, high={high})"
    metric = _BY_NAME.get(name) or _BY_FAMILY.get(detector.family)
    if metric is None:
        metric = "edge_f1" if detector.label_map else "msssim"
    return f"{metric}(annotator={str(detector)!r})"


def usual(spec: str, embedded: bool, seeds: int) -> list[str]:
    """Return the metrics that are taken unless others are asked for."""
    several = [] if seeds < 2 else [f"{'diversity_shapes' if embedded else 'diversity'}(seeds={seeds})"]
    return [adherence(spec), *(EMBEDDED if embedded else USUAL), *several]


def possible(specs: Sequence[str], asked: bool, side: int) -> list[str]:
    """Return those metrics that can be taken here, found out by taking one of noise.

    Raises what making them raises, and MissingWeights where they were asked for by name; else the ones whose
    weights are not on this machine are left out, with a warning that names what to fetch.
    """
    found: list[str] = []
    for spec in specs:
        try:
            rehearse(spec, side)
        except MissingWeights as error:
            if asked:
                raise
            log.warning("%s is left out: %s", spec, error)
        else:
            found.append(spec)
    return found


def rehearse(spec: str, side: int) -> None:
    """Take a metric of one picture of noise, before hours are spent on pictures that it could not measure."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    metric: Metric = registry.get("metrics", spec)
    try:
        metric.update(noise, noise, "a red cube", noise)
    except ShapeError as error:
        raise ShapeError(f"{spec}: {error}") from error
