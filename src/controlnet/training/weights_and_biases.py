"""A run on Weights & Biases: every number of metrics.jsonl, the contact sheets, what came of it.

Whether that goes over the network is decided by wandb's own settings (`wandb login`, WANDB_MODE …). Without a
login, or without a network, it stays in the run's folder, and `wandb sync` sends it when there is one. A run
is worth more than its curves on somebody's server: whatever goes wrong there is told once, and the training
goes on.
"""

import logging
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from controlnet.errors import MissingExtra
from controlnet.training.events import Event
from controlnet.training.plan import TrainingPlan

log = logging.getLogger(__name__)

PROJECT: Final = "controlnet"  # where WANDB_PROJECT names no other


class WeightsAndBiases:
    """Sends a run's events there; MissingExtra where wandb is not installed."""

    def __init__(self, plan: TrainingPlan) -> None:
        try:
            self._wandb: Any = import_module("wandb")
        except ImportError as error:
            raise MissingExtra(
                "watch.wandb is on and Weights & Biases is not installed; pip install 'controlnet[wandb]'"
            ) from error
        self._plan, self._folder = plan, plan.folder
        self._run: Any = None
        self._failed = False

    def __call__(self, event: Event) -> None:
        """Send an event."""
        if self._failed:
            return
        try:
            self._send(event)
        except Exception as error:  # of whatever kind wandb has: the run is worth more
            self._failed = True
            log.warning("Weights & Biases gets no more of this run (%s)", " ".join(str(error).split()))

    def _send(self, event: Event) -> None:
        if event.kind == "begin":
            self._run = self._begun(goes_on=event.step > 0)
        elif self._run is None:
            return
        elif event.kind in ("step", "arrival"):
            self._run.log({"step": event.step, **_numbers(event.record)})
        elif event.kind == "preview":
            self._run.log({"step": event.step, "preview": self._wandb.Image(str(event.path))})
        elif event.kind == "end":
            self._run.summary.update(_numbers(event.record))
            self._run.finish()
        elif event.kind == "stop":
            self._run.summary.update({"stopped": event.record["why"]})
            self._run.finish(exit_code=1)

    def _begun(self, goes_on: bool) -> Any:
        """Begin a run there, or go on with the one of this folder, from whatever step its state is."""
        settings = {
            "project": os.environ.get("WANDB_PROJECT", PROJECT),
            "name": self._plan.name,
            "dir": str(self._folder),
            "config": self._plan.model_copy(update={"out": None}).values(),
            "id": _name_of_run(self._folder / "wandb" / "run-id", goes_on),
            "resume": "allow",
        }
        try:
            run = self._wandb.init(**settings)
        except Exception as error:  # no login, no network: wandb has errors of many kinds for these
            where = self._folder / "wandb"
            log.warning(
                "Weights & Biases cannot be reached (%s); its curves stay in %s, for: wandb sync",
                *(" ".join(str(error).split()), where),
            )
            run = self._wandb.init(**settings, mode="offline")
        # A resumed run repeats steps, and wandb's own count never goes back: plot over the run's steps.
        run.define_metric("step")
        run.define_metric("*", step_metric="step")
        return run


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value for name, value in record.items() if name != "step" and isinstance(value, int | float)
    }


def _name_of_run(path: Path, goes_on: bool) -> str:
    """Return the id under which the run is known there: a new one for a new run, kept beside its files."""
    if goes_on:
        with suppress(OSError):
            return path.read_text(encoding="ascii").strip()
    name = secrets.token_hex(4)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(name, encoding="ascii")
    return name
