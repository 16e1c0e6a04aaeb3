"""A random network for `lineart_coarse`."""

from tests.annotators.lineart_realistic import place_random

__all__ = ["place_random"]
