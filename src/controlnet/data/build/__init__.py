"""Build a data set: pictures in, triples of picture, control map and caption out, however many there are."""

from controlnet.data.build.recipe import Recipe
from controlnet.data.build.run import Progress, build
from controlnet.data.build.sources.opening import open_source

__all__ = ["Progress", "Recipe", "build", "open_source"]
