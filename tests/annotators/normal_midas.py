"""A random network for `normal_midas`."""

from tests.annotators.depth_midas import place_random

__all__ = ["place_random"]
