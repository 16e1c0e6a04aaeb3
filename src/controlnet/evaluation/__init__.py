"""Measuring what a control does: metrics as plug-ins, evaluations, suites, and pages that show them."""

from controlnet.evaluation.averaged import Averaged
from controlnet.evaluation.metric import Metric

__all__ = ["Averaged", "Metric"]
