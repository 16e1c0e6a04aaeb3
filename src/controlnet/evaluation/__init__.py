"""Measuring what a control does: metrics as plug-ins, `evaluate`, suites, and pages that show the outcome."""

from controlnet.evaluation.averaged import Averaged
from controlnet.evaluation.metric import Metric

__all__ = ["Averaged", "Metric"]
