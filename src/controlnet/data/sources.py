"""Data sets that give tensors: a folder on disk, a sequence in memory, a part of either."""

import logging
from array import array
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, final

import numpy as np

from controlnet.data.batch import Dataset, Sample
from controlnet.data.example import BadExample, Example
from controlnet.data.listing import listing
from controlnet.data.pictures import Pixels, as_rgb, check_headers, read_mask, read_pair
from controlnet.data.report import Report
from controlnet.data.transforms import Size, Transform, to_condition, to_mask, to_pixels
from controlnet.errors import DataError, SettingError, ShapeError

Annotator: TypeAlias = Callable[[Pixels], Pixels]
Item: TypeAlias = tuple[Pixels, Pixels | None, str]

logger = logging.getLogger(__name__)


@final
class FolderDataset:
    """A data set folder (see `manifest`) or its shards (see `shards`), read when asked for, in their order.

    Opening reads the manifest, or the headers and lines in the shards, and, unless verify is off, the header
    of every picture. What cannot be used is left out and counted in `report`; what only decoding shows (a
    picture cut short) raises BadExample from `example` and is counted then, once. Memory: 16 bytes an
    example.

    size, crop, flip: see Transform. annotator: computes the control map from the picture, (H, W, 3) uint8
    after the transform, in the place of stored ones. label_map: whether stored maps hold labels or edges and
    are resized by the nearest pixel; None asks each example's provenance["label_map"]. max_bad: the share of
    bad examples, 0 … 1, above which opening and reading raise DataError. masks: read those of the column
    "mask", for the loss.
    """

    def __init__(
        self,
        folder: str | Path,
        size: Size = None,
        crop: Literal["center", "random"] = "center",
        flip: bool = False,
        annotator: Annotator | None = None,
        label_map: bool | None = None,
        max_bad: float = 0.05,
        verify: bool = True,
        masks: bool = False,
    ) -> None:
        self.folder = Path(folder)
        self.transform = Transform(size, crop, flip)
        self.annotator = annotator
        self.label_map = label_map
        self.max_bad = max_bad
        self.masks = masks
        self.report = Report(self.folder)
        self._addresses = array("q"), array("q")
        self._broken: dict[int, BadExample] = {}
        self._listing = listing(self.folder)
        for address, example in self._listing.scan():
            self.report.total += 1
            try:
                if isinstance(example, BadExample):
                    raise example
                if verify:
                    check_headers(example, stored=annotator is None)
            except BadExample as bad:
                self.report.add(bad)
            else:
                for kept, number in zip(self._addresses, address, strict=True):
                    kept.append(number)
        self.report.raise_above(max_bad)
        if self.report.bad:
            logger.warning(
                "%s: %d of %d examples skipped: %s", folder, self.report.bad, self.report.total, self.report
            )

    @property
    def condition(self) -> str | None:
        """The spec that the stored control maps were made with, from the first example's provenance."""
        spec = self[0].provenance.get("condition")
        return spec if isinstance(spec, str) and self[0].conditioning is not None else None

    def __len__(self) -> int:
        """Count the examples that passed the checks of opening."""
        return len(self._addresses[0])

    def __getitem__(self, index: int) -> Example:
        """Give the record of example `index`: paths, caption, provenance."""
        first, second = (kept[index] for kept in self._addresses)  # IndexError ends an iteration
        return self._listing.example((first, second))

    @property
    def shards(self) -> Sequence[int] | None:
        """The number of each example's shard; None where pictures are files of their own."""
        return self._addresses[0] if self._listing.sharded else None

    def size_of(self, index: int) -> tuple[int, int]:
        """Read height and width of a picture, in pixels, from its header alone; raises BadExample."""
        return check_headers(self[index], stored=False)

    def __iter__(self) -> Iterator[Example]:
        """Walk the records."""
        return (self[index] for index in range(len(self)))

    def example(self, index: int, rng: np.random.Generator) -> Sample:
        """Read example `index`; raises BadExample, or DataError once more than the share max_bad is bad."""
        if index in self._broken:
            raise self._broken[index]
        record = self[index]
        try:
            image, conditioning = read_pair(record, stored=self.annotator is None)
            mask = read_mask(record, image.shape[:2]) if self.masks else None
        except BadExample as bad:
            if self._broken.setdefault(index, bad) is bad:
                logger.warning("%s: %s; the next good example takes its place", self.folder, bad)
                self.report.add(bad)
                self.report.raise_above(self.max_bad)
            raise
        nearest = self.label_map
        if nearest is None:
            nearest = bool(record.provenance.get("label_map", False))
        item = image, conditioning, record.caption
        return _sample(item, self.transform, rng, self.annotator, nearest, mask)


@final
class InMemory:
    """Examples from a sequence of (picture, control map, caption), uint8 (H, W, 3) or (H, W).

    The sequence may be lazy: anything with a length and `[i]` that is pure. The map may be None where an
    annotator is given. size, crop, flip, annotator, label_map: as for FolderDataset.
    """

    def __init__(
        self,
        items: Sequence[Item],
        size: int | tuple[int, int] | None = None,
        crop: Literal["center", "random"] = "center",
        flip: bool = False,
        annotator: Annotator | None = None,
        label_map: bool = False,
    ) -> None:
        self.items = items
        self.transform = Transform(size, crop, flip)
        self.annotator = annotator
        self.label_map = label_map

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.items)

    def example(self, index: int, rng: np.random.Generator) -> Sample:
        """Give example `index` as tensors; raises ShapeError for pictures that do not go together."""
        return _sample(self.items[index], self.transform, rng, self.annotator, self.label_map)


@final
class Subset:
    """The examples of a data set at `indices`, in that order."""

    def __init__(self, dataset: Dataset, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = array("q", indices)

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.indices)

    def example(self, index: int, rng: np.random.Generator) -> Sample:
        """Give the example that stands at `index` of the subset."""
        return self.dataset.example(self.indices[index], rng)


def hold_out(dataset: Dataset, count: int) -> tuple[Subset, Subset]:
    """Split a data set into (all but the last `count` examples, the last `count`).

    By position, not by chance: the same whatever the seed, so that no run trains on what another is judged
    by, as long as the set is not made longer. Raises SettingError unless both parts hold something.
    """
    total = len(dataset)
    if not 0 < count < total:
        raise SettingError(f"got {count} examples to hold out of {total}, wanted 1 … {total - 1}")
    return Subset(dataset, range(total - count)), Subset(dataset, range(total - count, total))


def _sample(
    item: Item,
    transform: Transform,
    rng: np.random.Generator,
    annotator: Annotator | None,
    nearest: bool,
    mask: Pixels | None = None,
) -> Sample:
    image, conditioning, caption = item
    image = as_rgb(image)
    place = transform.place(image.shape[0], image.shape[1], rng)
    pixels = place(image)
    if annotator is not None:
        # After the transform: edges found at the training size are whole, edges resized are not.
        condition = as_rgb(annotator(pixels))
    elif conditioning is None:
        raise DataError(f'"{caption}" has no control map, wanted one or an annotator; give annotator=')
    elif conditioning.shape[:2] != image.shape[:2]:
        raise _unlike(conditioning, image)
    else:
        condition = place(as_rgb(conditioning), nearest)
    if condition.shape != pixels.shape:
        raise _unlike(condition, pixels)
    counts = None if mask is None else to_mask(place(mask))
    return Sample(to_pixels(pixels), to_condition(condition), caption, counts)


def _unlike(condition: Pixels, image: Pixels) -> ShapeError:
    sizes = f"{condition.shape[:2]} for a picture of {image.shape[:2]}"
    return ShapeError(
        f"got a control map of {sizes} (H, W), wanted the same size; resize the map to the picture"
    )
