"""The run's books: metrics.jsonl, timing.jsonl, the clock, and what the watch makes of the measurements."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from controlnet.training.divergence import DivergenceWatch
from controlnet.training.folder import RunFolder
from controlnet.training.log import JsonLines
from controlnet.training.plan import TrainingPlan
from controlnet.training.result import TrainingResult
from controlnet.training.watch import ArrivalWatch

log = logging.getLogger(__name__)

MEASURED = ("loss", "held_out_loss", "gain", "gain_error", "adherence", "adherence_of_base")


class Book:
    """Records what happens from step `done` on; reads what was recorded up to there, and drops the rest."""

    def __init__(
        self, folder: RunFolder, plan: TrainingPlan, done: int, seconds: float, writes: bool = True
    ) -> None:
        """Open the books; of several processes one writes them, and all know what stands in them."""
        self._folder, self._plan = folder, plan
        self._metrics = JsonLines(folder.metrics, upto=done, writes=writes)
        self._timing = JsonLines(folder.timing, upto=done, writes=writes)
        self._began = time.monotonic() - seconds
        self._latest: dict[str, Any] = {}
        self.watch = ArrivalWatch(
            with_adherence=plan.watch.adherence is not None and plan.watch.adherence_every > 0
        )
        self.divergence = DivergenceWatch(plan.watch.divergence)
        for record in self._metrics.kept:
            self._take(record)
            if record.get("loss") is not None:
                self.divergence.feed(record["step"], record["loss"])

    @property
    def seconds(self) -> float:
        """Seconds of work so far, those before a resume included."""
        return time.monotonic() - self._began

    def write(
        self, record: dict[str, Any], watching: float = 0.0, waited: float = 0.0
    ) -> dict[str, Any] | None:
        """Record a step; return the record of control's arrival where this step has made it certain.

        watching: seconds that its measurements took. waited: seconds that this process has waited for data
        since it began.
        """
        had_arrived = self.watch.arrived is not None
        self._metrics.write(record)
        watched = {"watching": round(watching, 3)} if watching else {}
        self._timing.write(
            {"step": record["step"], "seconds": round(self.seconds, 3), "waited": round(waited, 4), **watched}
        )
        self._take(record)
        if "gain" in record:
            log.info("step %d of %d: %s", record["step"], self._plan.steps, _told(record))
        if had_arrived or self.watch.arrived is None:
            return None
        log.info("control has arrived at step %d", self.watch.arrived)
        self.note(record["step"], "control has arrived", self._arrival())
        return {"step": record["step"], **self._arrival()}

    def note(self, step: int, event: str, details: Mapping[str, Any]) -> None:
        """Record something else than a step."""
        self._metrics.write({"step": step, "event": event, **details})

    def to_disk(self) -> None:
        """Wait until everything is on the disk; a state must not be newer than its records."""
        self._metrics.to_disk()
        self._timing.to_disk()

    def result(self, weights: Path) -> TrainingResult:
        """Sum the run up."""
        seconds = self.seconds
        return TrainingResult(
            folder=self._folder.root,
            weights=weights,
            steps=self._plan.steps,
            **{name: self._latest.get(name) for name in MEASURED},
            **self._arrival(),
            seconds=round(seconds, 3),
            steps_per_second=round(self._plan.steps / seconds, 4),
        )

    def close(self) -> None:
        """Close the files."""
        self._metrics.close()
        self._timing.close()

    def _take(self, record: dict[str, Any]) -> None:
        if "event" not in record:
            self._latest |= record
            self.watch.feed(record)

    def _arrival(self) -> dict[str, int | None]:
        return {
            "arrived_at": self.watch.arrived,
            "gain_rose_at": self.watch.gain.at,
            "adherence_rose_at": self.watch.adherence.at,
        }


def _told(record: Mapping[str, Any]) -> str:
    told = f"held-out loss {record['held_out_loss']:.5f}"
    told += f", control gain {record['gain']:+.5f} ± {record['gain_error']:.5f}"
    return f"{told}, adherence {record['adherence']:.3f}" if "adherence" in record else told
