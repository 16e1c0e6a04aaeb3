"""The phases of a run (paper, section 3.3): what is connected and unlocked, how fast it learns, till when.

    phases:
      - {connect: middle, until: {arrival: true, step: 5000}}   small machines: the middle alone, till control
                                                                has arrived, for 5,000 steps at most
      - {connect: all, until: {step: 50000}}                    reconnected
      - {unlock: decoder, lr: 2.0e-6}                           large data: the base's decoder trained along

A phase goes on from where the one before ended, and keeps what it does not change itself. A plan without
phases has one, which is what `control` and `optim` say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from controlnet.training.sections import Control, Optim, Section, WatchPart
from controlnet.training.watch import SIGMAS

Connect = Literal["all", "middle"]
Unlock = Literal["nothing", "decoder"]


class Until(Section):
    """The end of a phase: as soon as one of these holds, after the phase's first step at the earliest."""

    step: int | None = Field(default=None, ge=1, description="This step of the run is done.")
    arrival: bool = Field(default=False, description="Control has arrived, as the watch tells.")
    gain: float | None = Field(
        default=None, gt=0, description="The control gain is measured this large, and three errors from zero."
    )
    adherence: float | None = Field(
        default=None, description="The adherence is measured this good, in the unit of its metric."
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.arrival and self.step is None and self.gain is None and self.adherence is None:
            raise ValueError("until says nothing; wanted one of step, arrival, gain, adherence")
        return self

    def reached(
        self, step: int, record: Mapping[str, Any], arrived: int | None, higher_is_better: bool
    ) -> str | None:
        """Say why the phase is over after a step, or None; record: the step's line in metrics.jsonl."""
        if self.step is not None and step >= self.step:
            return f"step {self.step} is done"
        if self.arrival and arrived is not None:
            return f"control has arrived at step {arrived}"
        gain, error = record.get("gain", 0.0), record.get("gain_error", 0.0)
        if self.gain is not None and gain >= self.gain and gain > SIGMAS * error:
            return f"the control gain is {gain:.5f}"
        score = record.get("adherence")
        if self.adherence is not None and score is not None:
            better = 1 if higher_is_better else -1
            if better * score >= better * self.adherence:
                return f"the adherence is {score:.3f}"
        return None


class Phase(Section):
    """A phase as the plan has it; what is not given stays as it is in the phase before."""

    connect: Connect | None = Field(
        default=None, description="Connections into the base; the first phase has those of control.connect."
    )
    unlock: Unlock | None = Field(
        default=None,
        description="What of the base is trained along: nothing, or its decoder (sd_locked = False).",
    )
    lr: float | None = Field(default=None, gt=0, le=1, description="Takes the place of optim.lr.")
    until: Until | None = Field(
        default=None, description='When it ends, or "arrival"; the last one ends with the run.'
    )

    @field_validator("until", mode="before")
    @classmethod
    def _in_a_word(cls, value: object) -> object:
        return {"arrival": True} if value == "arrival" else value


@dataclass(frozen=True)
class Stage:
    """A phase with everything said: the number-th of a run's, counted from 0."""

    number: int
    connect: Connect
    unlock: Unlock
    optim: Optim
    until: Until | None

    def told(self) -> dict[str, Any]:
        """Return what is recorded of it."""
        return {
            "phase": self.number + 1,
            "connect": self.connect,
            "unlock": self.unlock,
            "lr": self.optim.lr,
        }


def stages(phases: Sequence[Phase], control: Control, optim: Optim) -> tuple[Stage, ...]:
    """Return the phases of a plan with everything said; one, where it has none."""
    found: list[Stage] = []
    last = Stage(-1, control.connect, "nothing", optim, None)
    for number, phase in enumerate(phases or [Phase()]):
        rates = last.optim if phase.lr is None else last.optim.model_copy(update={"lr": phase.lr})
        last = Stage(number, phase.connect or last.connect, phase.unlock or last.unlock, rates, phase.until)
        found.append(last)
    return tuple(found)


def check(stages: Sequence[Stage], watch: WatchPart) -> None:
    """Raise ValueError for phases that cannot follow each other, or that wait for what is not measured."""
    for stage, following in pairwise(stages):
        here = f"phases[{stage.number}]"
        if stage.until is None:
            raise ValueError(f"{here} has no until, so that the next one never begins; say when it ends")
        if (stage.connect, following.connect) == ("all", "middle"):
            raise ValueError(f"{here} connects all and the next one the middle; connections are only added")
        if (stage.unlock, following.unlock) == ("decoder", "nothing"):
            raise ValueError(f"{here} unlocks the decoder and the next one nothing; it stays unlocked")
        same = (stage.connect, stage.unlock, stage.optim) == (
            *(following.connect, following.unlock, following.optim),
        )
        if same:
            raise ValueError(
                f"phases[{following.number}] is as the one before; say what it changes, or drop it"
            )
    if stages[-1].until is not None:
        raise ValueError(f"phases[{stages[-1].number}] is the last and has an until; it ends with steps")
    ends = [stage.until for stage in stages if stage.until is not None]
    steps = [end.step for end in ends if end.step is not None]
    if any(later <= sooner for sooner, later in pairwise(steps)):
        raise ValueError(f"phases end at the steps {steps}; wanted each later than the one before")
    if sum(end.arrival for end in ends) > 1:
        raise ValueError(
            "several phases wait for the arrival of control, which comes once; wait in one of them"
        )
    if any(end.arrival or end.gain is not None for end in ends) and not watch.gain_every:
        raise ValueError("a phase waits for control, and watch.gain_every is 0; measure the gain, such as 50")
    judged = watch.adherence is not None and watch.adherence_every > 0
    if any(end.adherence is not None for end in ends) and not judged:
        raise ValueError(
            "a phase waits for an adherence that is not measured; give watch.adherence, such as edge_f1, and "
            "watch.adherence_every"
        )
