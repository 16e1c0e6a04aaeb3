"""One record of a data set on disk, and the reason why one cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controlnet.errors import DataError

if TYPE_CHECKING:
    from controlnet.data.shards import Member


@dataclass(frozen=True)
class Example:
    """A picture, its control map and its caption, as one line of `metadata.jsonl`, or a shard, has them.

    conditioning is None where the map is to be computed from the picture; provenance tells how the record was
    made: generator, seed, index, condition (a spec such as "canny(low=50)"), label_map, version. mask: a
    picture, white where the loss shall count.
    """

    image: "Path | Member"
    conditioning: "Path | Member | None"
    caption: str
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mask: "Path | Member | None" = None


class BadExample(DataError):
    """An example that cannot be used: a short reason to count by, and where it was found."""

    def __init__(self, reason: str, where: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason
        self.where = where
