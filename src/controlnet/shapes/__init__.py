"""The embedded world: a renderer of small scenes, and the base model, judge and controls trained on it."""

from controlnet.shapes.render import View, render

__all__ = ["View", "render"]
