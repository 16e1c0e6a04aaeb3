"""What of a data set cannot be used, counted by reason: skipped, but never silently."""

import threading
from collections import Counter, defaultdict
from pathlib import Path
from typing import Final, final

from controlnet.data.example import BadExample
from controlnet.errors import DataError

SHOWN: Final = 3  # places named for each reason


@final
class Report:
    """Count of the examples of `folder` that were skipped, by reason, with the first few places of each.

    total: examples that the folder lists; skipped: Counter of reasons; places: where, for each reason.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.total = 0
        self.skipped: Counter[str] = Counter()
        self.places: defaultdict[str, list[str]] = defaultdict(list)
        self._lock = threading.Lock()  # examples fail in the loader's threads

    def add(self, bad: BadExample) -> None:
        """Count one more example as skipped."""
        with self._lock:
            self.skipped[bad.reason] += 1
            if len(self.places[bad.reason]) < SHOWN:
                self.places[bad.reason].append(bad.where)

    @property
    def bad(self) -> int:
        """How many examples were skipped."""
        return self.skipped.total()

    @property
    def share(self) -> float:
        """The share of examples that were skipped, 0 … 1."""
        return self.bad / max(self.total, 1)

    def problem(self, max_bad: float) -> str | None:
        """Say why the set cannot be used when it is empty or more than the share `max_bad` was skipped."""
        if self.bad == self.total:
            found = f"all {self.total} examples are bad ({self})" if self.total else "it lists no example"
            return f"{self.folder} cannot be used: {found}; make it again or mend its metadata.jsonl"
        if self.share > max_bad:
            return (
                f"{self.bad} of {self.total} examples of {self.folder} cannot be used ({self}), "
                f"at most {max_bad:.0%} may be; `controlnet dataset check` lists them: mend them, "
                "take their lines out, or allow more with max_bad"
            )
        return None

    def raise_above(self, max_bad: float) -> None:
        """Raise DataError where `problem` finds one."""
        if problem := self.problem(max_bad):
            raise DataError(problem)

    def __str__(self) -> str:
        """Sum the reasons up in a line."""
        reasons = self.skipped.most_common()
        return "; ".join(f"{n} {reason}: {', '.join(self.places[reason])}" for reason, n in reasons)
