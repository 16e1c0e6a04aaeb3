"""One example, made from one picture and nothing else: the part of building that many do at once."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from typing import Any, Final, Protocol, final

from controlnet import registry
from controlnet.conditions._ranges import Spread
from controlnet.data.build import filters
from controlnet.data.build.item import Given, Item, Source
from controlnet.data.build.perceptual import perceptual_hash
from controlnet.data.build.recipe import Recipe
from controlnet.data.build.stored import file_of, png
from controlnet.data.example import BadExample
from controlnet.data.pictures import Pixels, decoded
from controlnet.errors import DataError, ShapeError

_LIBRARIES: Final = ("controlnet", "opencv-contrib-python-headless", "pillow")


@final
@dataclass(frozen=True)
class Made:
    """An example that is ready to be written: the files of picture and map, and what its line says."""

    name: str
    suffix: str
    caption: str
    provenance: dict[str, Any]
    hash: int
    picture: bytes = field(repr=False)
    conditioning: bytes = field(repr=False)


@final
@dataclass(frozen=True)
class Refused:
    """A picture that is left out: a short reason to count by, and where it was found."""

    name: str
    reason: str
    of: str | None = None


class Captioner(Protocol):
    """Whoever captions pictures: see `controlnet.captioners`."""

    def caption(self, image: Pixels) -> str:
        """Return the caption of a picture."""
        ...

    def ready(self) -> None:
        """Raise MissingWeights where something is lacking."""
        ...


@final
@dataclass(frozen=True)
class Maker:
    """Makes an example of an address; the same one in any process, in any order, as often as it is asked.

    Errors that would be every picture's (MissingWeights, SettingError) are raised; what is wrong with one
    picture is a Refused.
    """

    source: Source
    recipe: Recipe

    def __call__(self, item: Item) -> Made | Refused:
        """Read, filter, caption and annotate one picture."""
        if self.learned:
            _one_thread()
        try:
            if item.broken:
                raise BadExample(item.broken, item.name)
            return self._made(item)
        except BadExample as bad:
            return Refused(item.name, bad.reason)

    def check(self) -> None:
        """Raise what is wrong with the recipe before any picture is read: unknown names, no captioner."""
        _ = self._spread
        if self._captioner is not None:
            self._captioner.ready()

    def _made(self, item: Item) -> Made:
        recipe, name = self.recipe, item.name
        given = self.source.read(item)
        image = decoded(given.data, name)
        filters.check(image, recipe, name)
        picture, suffix, stored = file_of(given.data, image, recipe.store, recipe.short_side, name)
        caption, caption_from = self._caption(given, stored, name)
        content = hashlib.sha256(given.data).hexdigest()
        condition = self._spread.draw(recipe.seed, content)
        try:
            conditioning = png(condition(stored))
        except (DataError, ShapeError) as error:
            raise BadExample("no control map", name) from error
        provenance = {
            "source": name,
            "sha256": content,
            "condition": str(condition),
            "drawn_from": recipe.condition,
            "label_map": type(condition).label_map,
            "caption_from": caption_from,
            "seed": recipe.seed,
            "versions": self._versions,
        }
        return Made(name, suffix, caption, provenance, perceptual_hash(image), picture, conditioning)

    def _caption(self, given: Given, image: Pixels, name: str) -> tuple[str, str]:
        if given.caption is not None and given.caption_from is not None:
            return given.caption, given.caption_from
        if self._captioner is not None:
            caption = self._captioner.caption(image)
            if caption:
                return caption, str(self._captioner)
        if self.recipe.missing_caption == "skip":
            raise BadExample("missing caption", name)
        return "", "none"

    @cached_property
    def _spread(self) -> Spread:
        return self.recipe.spread()

    @cached_property
    def _captioner(self) -> Captioner | None:
        name = self.recipe.captioner
        return None if name is None else registry.get("captioners", name)

    @cached_property
    def learned(self) -> bool:
        """Whether a network takes part."""
        return bool(self._spread.example.weights) or self._captioner is not None

    @cached_property
    def _versions(self) -> dict[str, str]:
        return {name.partition("-")[0]: version(name) for name in _LIBRARIES}

    def __reduce__(self) -> tuple[Any, ...]:
        return _maker, (self.source, self.recipe)  # what is cached here stays here


_makers: dict[tuple[str, str], Maker] = {}


def _maker(source: Source, recipe: Recipe) -> Maker:
    """Return the process's own maker, which has read its recipe already."""
    key = repr(source), recipe.model_dump_json()
    if key not in _makers:
        _makers.clear()
        _makers[key] = Maker(source, recipe)
    return _makers[key]


def _one_thread() -> None:
    """Let torch compute in one thread in this process: sums come out the same for any number of workers."""
    import torch

    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@contextmanager
def threads_kept(learned: bool) -> Iterator[None]:
    """Give torch back the threads that it had when examples have been made in this process."""
    if not learned:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
