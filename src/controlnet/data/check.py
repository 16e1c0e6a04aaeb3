"""Look a whole data set over: what is in it, and what cannot be used."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from controlnet.data.example import BadExample
from controlnet.data.listing import listing
from controlnet.data.pictures import check_headers, read_pair
from controlnet.data.report import Report


@dataclass
class CheckReport:
    """What `check_dataset` found.

    report: bad examples by reason; sizes: (H, W) in pixels; conditions, generators: by provenance; unstored:
    examples without a stored control map; blank: maps of one colour, which control nothing; captions:
    distinct ones.
    """

    report: Report
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    conditions: Counter[str] = field(default_factory=Counter[str])
    generators: Counter[str] = field(default_factory=Counter[str])
    unstored: int = 0
    blank: int = 0
    captions: int = 0

    def problem(self, max_bad: float = 0.05) -> str | None:
        """Say why the set cannot be used, if so."""
        return self.report.problem(max_bad)


def check_dataset(
    folder: str | Path, decode: bool = True, progress: Callable[[], object] | None = None
) -> CheckReport:
    """Read every example of a folder, whole or (decode false) by headers alone, one at a time.

    progress is called after each. Raises DataError where there is no data set at all.
    """
    folder = Path(folder)
    found = CheckReport(Report(folder))
    seen: set[int] = set()
    for _, example in listing(folder).scan():
        found.report.total += 1
        try:
            if isinstance(example, BadExample):
                raise example
            stored = example.conditioning is not None
            size = check_headers(example, stored)
            conditioning = read_pair(example, stored)[1] if decode else None
        except BadExample as bad:
            found.report.add(bad)
        else:
            found.sizes[size] += 1
            found.conditions[str(example.provenance.get("condition", "unknown"))] += 1
            found.generators[str(example.provenance.get("generator", "unknown"))] += 1
            found.unstored += not stored
            found.blank += conditioning is not None and int(conditioning.min()) == int(conditioning.max())
            seen.add(hash(example.caption))
        if progress:
            progress()
    found.captions = len(seen)
    return found
