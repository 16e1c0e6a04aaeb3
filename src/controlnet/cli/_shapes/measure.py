"""The quality of the embedded base and its ControlNets, on scenes of a world that none of them has seen."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from torch import Tensor

from controlnet.backbones import load_base
from controlnet.cli._comparing import Comparison, Scored, closed, edge_scores
from controlnet.cli._plans import shipped_plan
from controlnet.cli._shapes.world import Weights
from controlnet.data import Batch
from controlnet.evaluation import Metric
from controlnet.files import whole
from controlnet.registry import get
from controlnet.sampling.images import to_pictures
from controlnet.training import TrainingPlan
from controlnet.training.adherence import scores_of

WORLD: Final = 2  # kept for measuring: base and judge are trained on world 1
GUIDANCE: Final = 4.0  # of the base alone; with a control its plan's, less, so that the words do not drown it
POSE: Final = "pose_pck(annotator='shapes_openpose')"  # the judge reads both pictures


def pose_scores(pictures: Tensor, examples: Batch) -> Tensor:
    """Give the share of keypoints where the true picture has them, (B,); NaN where it has no mannequin."""
    return scores_of(POSE, pictures, examples)


SCORES: Final = {
    "canny": ("edge F1, one pixel", edge_scores),
    "openpose": ("keypoints within 5 %", pose_scores),
}
"""What tells how far pictures obey a condition, and its name."""

Advance = Callable[[int], None]


def measure(
    weights: Weights, scenes: int, parts: set[str], say: Callable[[str], None], advance: Advance
) -> dict[str, Any]:
    """Measure parts of the weights and write quality.json beside them; what is not asked for stays.

    parts are of "autoencoder", "base" and the names of ControlNets. advance is told the pictures sampled.
    """
    found = read_quality(weights)
    edges = _comparison(weights, "canny", scenes)
    if "autoencoder" in parts:
        found["autoencoder"] = {"scenes": scenes, **_autoencoder(edges)}
        _keep(weights, found, say, "autoencoder")
    if "base" in parts:
        guided = _comparison(weights, "canny", scenes, GUIDANCE)
        found["base"] = {"scenes": scenes, **_attributes(guided, guided.sample(None, advance))}
        _keep(weights, found, say, "base")
    for name in sorted(parts & weights.controlnets.keys()):
        comparison = edges if name == "canny" else _comparison(weights, name, scenes)
        numbers = _controlnet(comparison, weights.controlnets[name], advance)
        found[name] = {"scenes": scenes, "metric": SCORES[name][0], **numbers}
        _keep(weights, found, say, name)
    return found


def read_quality(weights: Weights) -> dict[str, Any]:
    """Return what was measured before, if anything."""
    return json.loads(weights.quality.read_text(encoding="utf-8")) if weights.quality.is_file() else {}


def sampled(weights: Weights, scenes: int, parts: set[str]) -> int:
    """Count the pictures that `measure` will sample."""
    return scenes * (("base" in parts) + 2 * len(parts & weights.controlnets.keys()))


def _comparison(weights: Weights, condition: str, scenes: int, guidance: float | None = None) -> Comparison:
    plan = TrainingPlan.load(shipped_plan("shapes_canny")).override(
        [
            *(f"data.condition={condition}", "data.source=shapes", f"data.seed={WORLD}"),
            *(f"data.count={scenes + 1}", f"data.held_out={scenes}"),  # a plan wants one to train on
            *([] if guidance is None else [f"watch.guidance_scale={guidance}"]),
        ]
    )
    return Comparison(plan, load_base(weights.base), SCORES[condition][1])


def _autoencoder(comparison: Comparison) -> dict[str, float]:
    """Tell how well pictures come through the autoencoder: peak signal-to-noise ratio in dB, and edge F1."""
    ceiling = comparison.ceiling()
    difference = (ceiling.pictures - comparison.examples.pixels) / 2
    decibels = -10 * difference.square().mean(dim=(1, 2, 3)).log10()
    return _rounded(
        {"psnr_db": decibels.mean().item(), "edge_f1": ceiling.mean, "edge_f1_error": ceiling.error}
    )


def _attributes(comparison: Comparison, prompted: Scored) -> dict[str, float]:
    """Tell the share of the captions' attributes that samples show, and that the true pictures do."""
    generated = _told("attributes", prompted.pictures, comparison)
    true = _told("attributes", comparison.examples.pixels, comparison)
    return _rounded(generated | {"attributes_true_pictures": true["attributes"]})


def _controlnet(comparison: Comparison, path: Path, advance: Advance) -> dict[str, Any]:
    base = comparison.sample(None, advance)
    controlled, ceiling = comparison.sample(path, advance), comparison.ceiling()
    numbers = {
        "prompt_only": base.mean,
        "controlled": controlled.mean,
        "controlled_error": controlled.error,
        "ceiling": ceiling.mean,
        "closed": closed(controlled.mean, base.mean, ceiling.mean),
    }
    return _rounded(numbers)


def _told(name: str, pictures: Tensor, comparison: Comparison) -> dict[str, float]:
    metric: Metric = get("metrics", name)
    blank = np.zeros((8, 8, 3), dtype=np.uint8)
    for picture, caption in zip(to_pictures(pictures), comparison.examples.captions, strict=True):
        array = np.asarray(picture)
        metric.update(array, np.broadcast_to(blank[:1, :1], array.shape), caption)
    return metric.compute()


def _rounded(values: Mapping[str, float | None]) -> dict[str, Any]:
    return {key: None if value is None else round(value, 4) for key, value in values.items()}


def _keep(weights: Weights, found: Mapping[str, Any], say: Callable[[str], None], part: str) -> None:
    with whole(weights.quality) as file:
        file.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    say(f"{part}: {', '.join(f'{key} {value}' for key, value in found[part].items())}")
