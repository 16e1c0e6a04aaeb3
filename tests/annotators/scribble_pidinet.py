"""A random network for `scribble_pidinet`."""

from tests.annotators.softedge_pidinet import place_random

__all__ = ["place_random"]
