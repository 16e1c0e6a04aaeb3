"""Counts of what the service did, in plain numbers; the interface shows them as it likes."""

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

LATEST: Final = 0.1  # share of the latest job in the pace
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
    pace: float | None = None  # seconds of a worker for a job, the latest ones counting most
    lock: threading.Lock = field(default_factory=threading.Lock)

    def refused(self, reason: str) -> None:
        """Count a refusal."""
        with self.lock:
            self.refusals[reason] += 1

    def ended(self, outcome: str, seconds: float | None, pictures: int, company: int = 1) -> None:
        """Count a job that is over; seconds: how long it ran, with so many at once, None if it never did."""
        with self.lock:
            self.outcomes[outcome] += 1
            self.pictures += pictures
            if seconds is not None:
                self.ran.add(seconds)
                own = seconds / company
                self.pace = own if self.pace is None else self.pace + LATEST * (own - self.pace)

    def begun(self, waited: list[float]) -> None:
        """Count a group of jobs that begins, by how long each of them waited."""
        with self.lock:
            self.companies[len(waited)] += 1
            for seconds in waited:
                self.waited.add(seconds)
