"""Generate a data set into a folder, by several processes, resumable at any example."""

from collections.abc import Callable, Generator, Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from controlnet.data.manifest import DatasetWriter, save_pictures
from controlnet.data.pictures import Pixels
from controlnet.data.workers import in_order

Draw: TypeAlias = Callable[[int], tuple[Pixels, Pixels | None, str]]
Made: TypeAlias = tuple[int, dict[str, str], str]


def generate(
    folder: str | Path, draw: Draw, count: int, provenance: Mapping[str, Any], workers: int = 1
) -> Generator[int, None, None]:
    """Fill `folder` with examples 0 … count - 1, yielding how many are there: at the start and after each.

    draw(index) -> (picture, control map, caption) must depend on nothing else and, for workers > 1, be
    picklable. Lines are written in the order of the index whatever the number of workers, so that a run that
    was killed and continued leaves the very bytes of one that was not. Raises DataError when the folder was
    begun otherwise.
    """
    folder = Path(folder)
    with DatasetWriter(folder) as writer:
        done = writer.done(provenance)
        todo = [index for index in range(count) if index not in done]
        finished = count - len(todo)
        yield finished
        for index, names, caption in in_order(partial(_make, folder, draw), todo, workers):
            record = {**provenance, "index": index, "version": version("controlnet")}
            writer.append(index, names, caption, record)
            finished += 1
            yield finished


def _make(folder: Path, draw: Draw, index: int) -> Made:
    image, conditioning, caption = draw(index)
    return index, save_pictures(folder, index, image, conditioning), caption
