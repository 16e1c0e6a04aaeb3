"""The folder of a run: where its things lie, and who may begin or go on there."""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controlnet.errors import PlanError
from controlnet.files import remove_parts, whole
from controlnet.training.plan import TrainingPlan
from controlnet.training.state import newest, read, sweep

log = logging.getLogger(__name__)

# What a resumed run may change, because no state depends on it; whatever changes is told and recorded.
FREE: Final = (
    *("name", "steps", "save.", "watch.", "device", "data.cache"),
    *("optim.lr", "optim.multiplier", "optim.hint_lr", "optim.zero_lr", "optim.decoder_lr", "optim.clip"),
    *("optim.warmup", "optim.schedule", "optim.weight_decay", "optim.checkpointing", "optim.fused"),
    *("engine.channels_last", "engine.compile", "engine.shard", "engine.memory"),
)


@dataclass(frozen=True)
class RunFolder:
    """plan.yaml, metrics.jsonl, timing.jsonl, index.html, state/, previews/, then weights and result.json."""

    root: Path

    @property
    def plan(self) -> Path:
        """The plan that the run follows, defaults included."""
        return self.root / "plan.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON line for each step; nothing in it depends on the clock."""
        return self.root / "metrics.jsonl"

    @property
    def timing(self) -> Path:
        """Seconds of work at each step, kept apart from what a resumed run repeats exactly."""
        return self.root / "timing.jsonl"

    @property
    def page(self) -> Path:
        """The page that shows the run."""
        return self.root / "index.html"

    @property
    def states(self) -> Path:
        """The states that the run can go on from."""
        return self.root / "state"

    @property
    def weights(self) -> Path:
        """The trained ControlNet, written at the end."""
        return self.root / "controlnet.safetensors"

    @property
    def result(self) -> Path:
        """What came of the run, written at the end."""
        return self.root / "result.json"

    def preview(self, step: int) -> Path:
        """The contact sheet of a step."""
        return self.root / "previews" / f"step-{step:06d}.png"

    def write_json(self, path: Path, values: Mapping[str, Any]) -> None:
        """Write a small file of the run, whole or not at all."""
        with whole(path) as part:
            part.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Opened:
    """A run folder that was entered: the state to go on from, if any, and what the plan changed since."""

    folder: RunFolder
    state: Path | None
    changes: dict[str, list[Any]]

    @property
    def step(self) -> int:
        """Steps that are done."""
        return 0 if self.state is None else int(read(self.state)["step"])

    @property
    def seconds(self) -> float:
        """Seconds of work that they took."""
        return 0.0 if self.state is None else float(read(self.state)["seconds"])


def enter(plan: TrainingPlan, resume: bool, writes: bool = True) -> Opened:
    """Begin a run in its folder, or find the state that it goes on from, and save the plan there.

    Of several processes one writes, before the others look. Raises PlanError where a run is there already
    and `resume` is off, and where the plan differs from the saved one in something that a state depends
    on.
    """
    folder = RunFolder(plan.folder)
    state = newest(folder.states)
    if not resume:
        if state is not None:
            raise PlanError(
                f"{folder.root} holds a run that has come to step {read(state)['step']}; "
                "go on with --resume, or choose another folder with --out"
            )
        changes: dict[str, list[Any]] = {}
    else:
        changes = _changes(folder, plan) if state is not None else {}
        if state is None:
            log.warning("%s holds no state to resume; the run starts from the beginning", folder.root)
    opened = Opened(folder, state, changes)
    if opened.step > plan.steps:
        raise PlanError(
            f"{folder.root} has come to step {opened.step} and the plan ends at {plan.steps}; give more "
            "steps, or take the weights that are in its newest state"
        )
    if writes:
        sweep(folder.states, after=opened.step)
        for place in (folder.root, folder.root / "previews"):
            remove_parts(place)
        with whole(folder.plan) as part:
            part.write_text(plan.to_yaml(), encoding="utf-8")
    return opened


def _changes(folder: RunFolder, plan: TrainingPlan) -> dict[str, list[Any]]:
    """Compare with the saved plan: {key: [was, is]}."""
    was = dict(_leaves(TrainingPlan.load(folder.plan).values())) if folder.plan.exists() else {}
    now = dict(_leaves(plan.values()))
    changes = {key: [was[key], now[key]] for key in now if key in was and was[key] != now[key]}
    changes.pop("out", None)  # a run may be moved
    bound = {key: pair for key, pair in changes.items() if not key.startswith(FREE)}
    if bound:
        told = "; ".join(f"{key} was {old!r} and is {new!r}" for key, (old, new) in bound.items())
        raise PlanError(
            f"{folder.root} cannot be resumed with another plan: {told}; "
            "restore it, or start a new run with control.start_from"
        )
    for key, (old, new) in changes.items():
        log.info("resumed with %s = %r, was %r", key, new, old)
    return changes


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
