"""Counts of what the service did, in plain numbers; the interface shows them as it likes."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


@dataclass
class Histogram:
    """How many values lie at or below each bound, in seconds, and their sum."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[next((i for i, bound in enumerate(BOUNDS) if value <= bound), len(BOUNDS))] += 1
        self.sum += value

    @property
    def mean(self) -> float | None:
        """The mean of all values, if there are any."""
        total = sum(self.counts)
        return self.sum / total if total else None


@dataclass
class Tally:
    """What happened since the start: jobs by outcome, refusals by reason, pictures, restarts, seconds."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    refusals: Counter[str] = field(default_factory=Counter[str])
    pictures: int = 0
    restarts: int = 0
    companies: Counter[int] = field(default_factory=Counter[int])  # groups by their number of jobs
    waited: Histogram = field(default_factory=Histogram)
    ran: Histogram = field(default_factory=Histogram)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pace(self) -> float | None:
        """Seconds that a worker took for each job, those of a group together, if there were any."""
        groups, jobs = sum(self.companies.values()), sum(n * k for n, k in self.companies.items())
        return self.ran.mean * groups / jobs if self.ran.mean is not None and jobs else None

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        with self.lock:
            self.refusals[reason] += 1

    def ended(self, outcome: str, seconds: float | None, pictures: int) -> None:
        """Count a job that is over; seconds: how long it ran, None if it never did."""
        with self.lock:
            self.outcomes[outcome] += 1
            self.pictures += pictures
            if seconds is not None:
                self.ran.add(seconds)

    def begun(self, waited: list[float]) -> None:
        """Count a group of jobs that begins, by how long each of them waited."""
        with self.lock:
            self.companies[len(waited)] += 1
            for seconds in waited:
                self.waited.add(seconds)
