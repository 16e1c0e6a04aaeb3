"""Measuring what a control does: metrics as plug-ins, and pages that show them."""

from controlnet.evaluation.metric import Metric

__all__ = ["Metric"]
