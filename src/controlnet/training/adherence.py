"""Adherence: how far finished samples obey their conditions, against the base's own samples from the same
noise.

A metric shows the paper's sudden convergence in pictures, but later than the gain and dearer by a full
sampling. The base alone scores by chance too (edges are everywhere), so what counts is the difference to
it, paired by sample.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from controlnet.data.batch import Batch
from controlnet.registry import get
from controlnet.training.gain import mean_and_error
from controlnet.training.samples import HeldOutSampler, to_array


@dataclass(frozen=True)
class Adherence:
    """Mean score with control and of the base alone, and the improvement with its standard error.

    The scores are in the metric's unit; the improvement is positive where control makes the score better.
    """

    score: float
    of_base: float
    improvement: float
    error: float

    def record(self) -> dict[str, float]:
        """Return the keys of metrics.jsonl."""
        return {
            "adherence": self.score,
            "adherence_of_base": self.of_base,
            "adherence_gain": self.improvement,
            "adherence_error": self.error,
        }


class AdherenceMeter:
    """Scores samples one by one with a metric such as "edge_f1" or "edge_f1(low=50, high=100)"."""

    def __init__(
        self,
        spec: str,
        sampler: HeldOutSampler,
        as_loaded: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """as_loaded: lets the base be as it was loaded, where a run has changed it."""
        self._spec, self._sampler, self._as_loaded = spec, sampler, as_loaded

    def measure(self, samples: Tensor) -> Adherence | None:
        """Score samples (B,3,H,W) drawn under control; None where the metric speaks of fewer than two."""
        scores, base = scores_of(self._spec, samples, self._sampler.examples), self._base
        said = ~(scores.isnan() | base.isnan())
        if said.sum() < 2:  # of one difference there is no standard error
            return None
        better = 1 if get("metrics", self._spec).higher_is_better else -1
        improvement, error = mean_and_error(better * (scores - base)[said])
        return Adherence(scores[said].mean().item(), base[said].mean().item(), improvement, error)

    @cached_property
    def _base(self) -> Tensor:
        with self._as_loaded():
            return scores_of(self._spec, self._sampler.draw(None), self._sampler.examples)


def scores_of(spec: str, samples: Tensor, examples: Batch) -> Tensor:
    """Return the headline score of each sample (B,3,H,W) in [−1,1], each a set of its own for the metric."""
    scores: list[float] = []
    pairs = zip(
        samples / 2 + 0.5, examples.condition, examples.captions, examples.pixels / 2 + 0.5, strict=True
    )
    for picture, condition, caption, truth in pairs:
        metric = get("metrics", spec)
        metric.update(to_array(picture), to_array(condition), caption, to_array(truth))
        scores.append(next(iter(metric.compute().values())))
    return torch.tensor(scores, dtype=torch.float64)
