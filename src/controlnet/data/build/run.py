"""The build itself: addresses in, examples out, each picture committed before the next is written."""

import json
import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final, TypeAlias

from controlnet.data.build.item import Item, Source
from controlnet.data.build.ledger import Ledger, State
from controlnet.data.build.make import Made, Maker, Refused, threads_kept
from controlnet.data.build.output import HIDDEN, Imagefolder, Output, Webdataset
from controlnet.data.build.recipe import Recipe
from controlnet.data.build.sources.pictures import Pictures
from controlnet.data.example import BadExample
from controlnet.data.manifest import METADATA, lock
from controlnet.data.shards import shards
from controlnet.data.workers import in_order
from controlnet.errors import DataError, SettingError
from controlnet.files import whole

Outcome: TypeAlias = Made | Refused
Runner: TypeAlias = Callable[[Maker, Iterable[Item]], Generator[Outcome, None, None]]

SUMMARY: Final = "build.json"
NEAR: Final = "near-duplicate"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a build is: pictures looked at, examples written, pictures in all where that is known."""

    seen: int
    accepted: int
    total: int | None
    refused: dict[str, int]


def build(
    source: Source, recipe: Recipe, folder: str | Path, workers: int = 1, runner: Runner | None = None
) -> Generator[Progress, None, None]:
    """Build the set of a source into `folder`, yielding how far it is: at the start and after each picture.

    A build that was stopped in any way goes on where it was, to the very bytes that one run would have
    written, whatever the number of workers; one that is finished writes nothing, unless the source has
    grown. Pictures are taken in the order of their names, and of pictures that look the same the first stays.
    runner: what makes examples of addresses, in their order; by default as many processes as there are
    workers. Raises DataError for a source that is not there, a folder that holds something else, was begun
    otherwise or is in use, and SettingError, UnknownName, MissingWeights for a recipe that cannot be
    followed.
    """
    folder = Path(folder)
    make = Maker(source, recipe)
    make.check()
    names = source.parts()
    first = next(names, None)
    if first is None:
        raise DataError(f"no picture in {source.identity()}; wanted files such as .png, .jpg or .webp")
    _refuse_foreign(source, folder)
    with ExitStack() as stack:
        (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
        held = stack.enter_context((folder / HIDDEN / "lock").open("ab"))
        lock(held, folder)
        ledger = stack.enter_context(closing(Ledger(folder / HIDDEN / "ledger.sqlite", recipe.near)))
        ledger.begin({**source.identity(), **recipe.identity()}, folder)
        parts = ledger.list_parts(chain((first,), names))
        state = ledger.state()
        kind = Imagefolder if recipe.layout == "imagefolder" else Webdataset
        output = stack.enter_context(closing(kind(folder, recipe, state)))
        total = source.count(parts)
        yield _progress(state, total)
        for _ in _made(make, ledger, state, output, runner or partial(_local, workers=workers)):
            yield _progress(state, total)
        if output.finish(state):
            ledger.commit(state)
            output.settle()
        _summarise(folder, source, recipe, state)


def _made(
    make: Maker, ledger: Ledger, state: State, output: Output, runner: Runner
) -> Generator[None, None, None]:
    """Write what the runner makes, in its order; after each, all of it is committed."""
    places: deque[tuple[int, int]] = deque()  # of what is under way: a few for each worker
    with closing(runner(make, _todo(make.source, ledger, state, places))) as outcomes:
        for outcome in outcomes:
            state.part, state.index = places.popleft()
            number = ledger.like(outcome.hash) if isinstance(outcome, Made) else None
            if number is not None:
                outcome = Refused(outcome.name, NEAR, f"{number:08d}")
            if isinstance(outcome, Refused):
                output.refuse(outcome, state)
                state.refused[outcome.reason] = state.refused.get(outcome.reason, 0) + 1
                ledger.commit(state)
            else:
                output.add(outcome, state)
                look = outcome.hash, state.accepted
                state.accepted += 1
                ledger.commit(state, look)
                output.settle()
            yield


def _todo(source: Source, ledger: Ledger, state: State, places: deque[tuple[int, int]]) -> Iterator[Item]:
    """Stream what is still to be made, and note behind which place of the source each one is."""
    begun, done = state.part, state.index
    for part, name in ledger.parts(begun):
        for index, item in enumerate(_items(source, name)):
            if part > begun or index >= done:
                places.append((part, index + 1))
                yield item


def _items(source: Source, part: str) -> Iterator[Item]:
    try:
        yield from source.items(part)
    except BadExample as bad:
        logger.warning("%s; what comes behind it in there is left out", bad)
        yield Item(part, bad.where, broken=bad.reason)


def _local(make: Maker, items: Iterable[Item], workers: int) -> Generator[Outcome, None, None]:
    with threads_kept(make.learned):
        yield from in_order(make, items, workers)


def _refuse_foreign(source: Source, folder: Path) -> None:
    if isinstance(source, Pictures) and folder.resolve().is_relative_to(source.folder.resolve()):
        raise SettingError(
            f"the set would lie among its own pictures, in {source.folder}; name a folder outside of it"
        )
    if not (folder / HIDDEN).is_dir() and (
        (folder / METADATA).exists() or (folder.is_dir() and shards(folder))
    ):
        raise DataError(f"{folder} holds a data set that was not built by this command; name another folder")


def _progress(state: State, total: int | None) -> Progress:
    return Progress(state.seen, state.accepted, total, dict(state.refused))


def _summarise(folder: Path, source: Source, recipe: Recipe, state: State) -> None:
    """Write what was built of what, unless it says so already."""
    told = {
        "source": source.identity(),
        "recipe": recipe.identity(),
        "seen": state.seen,
        "accepted": state.accepted,
        "refused": dict(sorted(state.refused.items())),
    }
    text = json.dumps(told, indent=1, ensure_ascii=False) + "\n"
    path = folder / SUMMARY
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        with whole(path) as part:
            part.write_text(text, encoding="utf-8")
