"""Sampling: from prompts, controls and seeds to pictures (`generate`), or on latents (`sample_latents`)."""

from controlnet.sampling.clip import Clip, save_video
from controlnet.sampling.control import LAWS, MODES, RULES, Control, soft_weights
from controlnet.sampling.frames import generate_frames
from controlnet.sampling.inpaint import feathered, inpaint_hint
from controlnet.sampling.latents import Progress, sample_latents
from controlnet.sampling.layout import channels_last
from controlnet.sampling.pipeline import generate
from controlnet.sampling.prepack import prepacked
from controlnet.sampling.record import ControlRecord, Record
from controlnet.sampling.repaint import extended, outpaint
from controlnet.sampling.schedule import EASINGS, Keyframe, Schedule, parse_weight
from controlnet.sampling.schedulers import SAMPLERS, sampler_name
from controlnet.sampling.second_pass import hires
from controlnet.sampling.tap_weights import parse_taps
from controlnet.sampling.tiled import upscale

__all__ = [
    "EASINGS",
    "LAWS",
    "MODES",
    "RULES",
    "SAMPLERS",
    "Clip",
    "Control",
    "ControlRecord",
    "Keyframe",
    "Progress",
    "Record",
    "Schedule",
    "channels_last",
    "extended",
    "feathered",
    "generate",
    "generate_frames",
    "hires",
    "inpaint_hint",
    "outpaint",
    "parse_taps",
    "parse_weight",
    "prepacked",
    "sample_latents",
    "sampler_name",
    "save_video",
    "soft_weights",
    "upscale",
]
