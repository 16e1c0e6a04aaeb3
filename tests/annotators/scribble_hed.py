"""A random network for `scribble_hed`."""

from tests.annotators.softedge_hed import place_random

__all__ = ["place_random"]
