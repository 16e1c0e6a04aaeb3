"""Sampling: from prompts, controls and seeds to pictures (`generate`), or on latents (`sample_latents`)."""

from controlnet.sampling.control import LAWS, MODES, Control, soft_weights
from controlnet.sampling.latents import Progress, sample_latents
from controlnet.sampling.pipeline import generate
from controlnet.sampling.record import ControlRecord, Record
from controlnet.sampling.schedulers import SAMPLERS, sampler_name

__all__ = [
    "LAWS",
    "MODES",
    "SAMPLERS",
    "Control",
    "ControlRecord",
    "Progress",
    "Record",
    "generate",
    "sample_latents",
    "sampler_name",
    "soft_weights",
]
