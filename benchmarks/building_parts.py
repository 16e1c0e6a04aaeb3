"""What the parts of building cost, for the projection in docs/scale.md; in processor time, one thread.

python -m benchmarks.building_parts picture [SPEC …]   a photograph of 512 px: decode, filter, map, encode
python -m benchmarks.building_parts writer             an example of 115 kB in the process that writes
python -m benchmarks.building_parts looks 150000       finding and keeping a hash among so many
python -m benchmarks.building_parts scan FOLDER        opening a built set, and reading at random
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from controlnet.data.build.make import Made

CANNY = "canny(low=50..150, high=150..250)"
PHOTOGRAPHS = ("astronaut", "coffee", "chelsea")


def each(count: int, action: Callable[[], object]) -> float:
    """Return the milliseconds of processor time that each of `count` took within an action."""
    began = time.process_time()
    action()
    return (time.process_time() - began) / count * 1e3


def picture(specs: list[str], folder: Path, repeats: int = 10) -> Iterator[str]:
    """Make examples of photographs, as a worker does."""
    import numpy as np
    import skimage.data
    from PIL import Image

    from controlnet.data.build import Recipe, open_source
    from controlnet.data.build.make import Made, Maker

    for name in PHOTOGRAPHS:
        image = Image.fromarray(np.ascontiguousarray(getattr(skimage.data, name)()[..., :3]))
        scale = 512 / min(image.size)
        size = round(image.width * scale), round(image.height * scale)
        image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{name}.jpg", quality=92)
        (folder / f"{name}.txt").write_text(name)
    source = open_source(str(folder))
    items = [item for part in sorted(source.parts()) for item in source.items(part)]
    for spec in specs or [CANNY]:
        make = Maker(source, Recipe(condition=spec))
        made = [one for one in map(make, items) if isinstance(one, Made)]
        took = each(repeats * len(items), lambda make=make: [make(i) for _ in range(repeats) for i in items])
        pictures = sum(len(one.picture) for one in made) / len(made)
        maps = sum(len(one.conditioning) for one in made) / len(made)
        yield f"{spec}: {took:.1f} ms; picture {pictures / 1e3:.0f} kB, map {maps / 1e3:.0f} kB"


def _files(made: "Made") -> tuple[bytes, bytes]:
    return made.picture, made.conditioning


def writer(folder: Path, count: int = 3000) -> Iterator[str]:
    """Write examples that are made already."""
    from controlnet.data.build import Recipe, build
    from controlnet.data.build.item import Item
    from controlnet.data.build.make import Made, Maker
    from controlnet.data.build.sources.pictures import Pictures

    (folder / "in").mkdir()
    for number in range(count):
        (folder / "in" / f"{number}.png").touch()
    rng = random.Random(0)
    files = rng.randbytes(90_000), rng.randbytes(25_000)
    provenance = {"source": "x" * 20, "sha256": "0" * 64, "condition": CANNY, "drawn_from": CANNY, "seed": 0}

    def ready(make: Maker, items: Iterable[Item]) -> Generator[Made, None, None]:
        for item in items:
            yield Made(item.name, "jpg", "a caption", provenance, rng.getrandbits(64), *files)

    layouts: tuple[Literal["imagefolder", "webdataset"], ...] = ("imagefolder", "webdataset")
    for layout in layouts:
        steps = build(
            Pictures(folder / "in"), Recipe(condition="canny", layout=layout), folder / layout, 1, ready
        )
        next(steps)
        yield f"{layout}: {each(count, lambda steps=steps: list(steps)):.2f} ms"


def looks(folder: Path, count: int) -> Iterator[str]:
    """Keep random hashes and look for each before."""
    from controlnet.data.build.ledger import Ledger, State

    path, rng, state = folder / "ledger.sqlite", random.Random(0), State()
    ledger, tenth = Ledger(path, near=4), max(1, count // 10)

    def keep(since: int) -> None:
        for number in range(since, since + tenth):
            value = rng.getrandbits(64)
            ledger.like(value)
            ledger.commit(state, (value, number))

    for since in range(0, tenth * 10, tenth):
        took = each(tenth, lambda since=since: keep(since))
        yield f"{since + tenth}: {took:.2f} ms; {path.stat().st_size / (since + tenth):.0f} bytes each"
    ledger.close()


def scan(folder: Path, reads: int = 500) -> Iterator[str]:
    """Open a built set and read examples at random."""
    import numpy as np

    from controlnet.data import FolderDataset

    for verify in (False, True):
        began = time.process_time()
        data = FolderDataset(folder, verify=verify)
        took = (time.process_time() - began) / len(data) * 1e3
        yield f"opened {'with headers of pictures' if verify else 'by its lines'}: {took:.3f} ms"
        rng = np.random.default_rng(0)
        chosen = rng.integers(0, len(data), reads).tolist()
        read = each(reads, lambda data=data, rng=rng, chosen=chosen: [data.example(i, rng) for i in chosen])
        yield f"an example read at random: {read:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["picture", "writer", "looks", "scan"])
    parser.add_argument("arguments", nargs="*")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="controlnet-building-") as name:
        folder = Path(name)
        lines = {
            "picture": lambda: picture(given.arguments, folder),
            "writer": lambda: writer(folder),
            "looks": lambda: looks(folder, int(given.arguments[0])),
            "scan": lambda: scan(Path(given.arguments[0])),
        }
        for line in lines[given.what]():
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
