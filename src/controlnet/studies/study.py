"""Study: a claim, the plan it is tried on, and the arms that differ, in one small piece of YAML.

    name: lite
    claim: One convolution a block in place of the copied encoder controls worse (section 4.2).
    plan: study.yaml                   # beside the file
    arms:
      full copy: []
      lite: [control.copy=lite]        # what an arm changes of the plan
    measure: {count: 24, prompts: [perfect, none]}

An arm may be ready ControlNets instead, of which nothing is trained: `{nets: [canny, openpose]}`, several
acting at once. Unknown keys are refused, here and in what arms change.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from controlnet.errors import PlanError
from controlnet.fields import checked
from controlnet.training.plan import TrainingPlan
from controlnet.training.sections import Section

END: Final = "end"
CURVES: Final = ("gain", "adherence", "held_out_loss")  # what runs record; other names in `plot` are metrics

Moment = int | Literal["end"]


class Measure(Section):
    """What finished ControlNets are measured on: scenes of the embedded world that none has seen."""

    count: int = Field(default=24, ge=0, description="Scenes; 0: only what the run itself records.")
    condition: str | None = Field(
        default=None, description="Measured under this condition; none: the plan's, or the first net's."
    )
    prompts: tuple[Literal["none", "insufficient", "conflicting", "perfect"], ...] = Field(
        default=("perfect",), min_length=1, description="Prompt settings (sec. 4.2)."
    )
    metrics: tuple[str, ...] = Field(
        default=(), description="Metrics; none: adherence to the condition, attributes, fid_shapes."
    )
    at: tuple[Moment, ...] = Field(
        default=(END,), min_length=1, description="Steps after which a run is measured; end: when it is done."
    )
    steps: int = Field(default=10, ge=1, description="Sampling steps; few, for time.")
    guidance_scale: float | None = Field(default=None, ge=0, description="None: the training's own.")
    mode: Literal["balanced", "prompt", "control", "unbalanced"] | None = Field(
        default=None, description="Control mode; none: the training's own."
    )
    law: Literal["cldm", "diffusers", "paper"] | None = Field(
        default=None, description="Law of the soft weights, in the modes that have them."
    )
    distance: bool = Field(default=False, description="Also how far y_c lies from y, for trained arms.")


class Arm(Section):
    """One of those that are compared: a change of the plan, or ready ControlNets that act together."""

    set: tuple[str, ...] = Field(default=(), description='Changes of the plan, such as "optim.lr=1e-4".')
    nets: tuple[str, ...] = Field(default=(), description="Ready ControlNets; nothing is trained.")
    base: str | None = Field(default=None, description="Measured on this base, not on the one of training.")
    measure: dict[str, Any] = Field(default={}, description="What is measured otherwise than in the study.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.set and self.nets:
            raise ValueError("an arm has set and nets; wanted a change of the plan, or ready ControlNets")
        return self


class Study(Section):
    """A claim and the arms that try it."""

    name: str = Field(pattern=r"^[\w.-]+$", description="Letters, digits, . _ -")
    claim: str = Field(min_length=1, description="One sentence, with the paper's section.")
    title: str = Field(min_length=1, description="A heading of a few words.")
    plan: str = Field(description="The training plan that the arms change; beside the study's file.")
    set: tuple[str, ...] = Field(default=(), description="What all arms change of it.")
    arms: dict[str, Arm] = Field(min_length=1, description="By name; a mere list is what the arm sets.")
    bases: dict[str, str] = Field(
        default={}, description="Other bases by name, given by --base, and in words how they are made."
    )
    seeds: tuple[int, ...] = Field(default=(0, 1, 2), min_length=1, description="Of training, or of noise.")
    measure: Measure = Measure()
    plot: tuple[str, ...] = Field(
        default=("gain", "adherence"),
        description="Curves: gain, adherence, held_out_loss of the runs; or metrics over the steps in `at`.",
    )
    folder: str = Field(default=".", exclude=True, description="Where the plan is looked for.")

    @field_validator("arms", mode="before")
    @classmethod
    def _short_arms(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        return {name: {"set": arm} if isinstance(arm, list) else arm or {} for name, arm in value.items()}

    @classmethod
    def load(cls, path: str | Path) -> "Study":
        """Read a study and check every arm of it; PlanError for what cannot be read or followed."""
        path = Path(path)
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            where = " ".join(str(error).split())
            raise PlanError(f"cannot read the study {path} ({where}); give a YAML file") from error
        if not isinstance(values, Mapping):
            raise PlanError(f"{path} holds no study; wanted keys such as claim, plan and arms")
        study = checked(cls, {**values, "folder": str(path.parent)}, str(path), PlanError)
        for name in study.arms:
            study.check(name)
        return study

    def trains(self, arm: str) -> bool:
        """Whether an arm is trained, and not made of ready ControlNets."""
        return not self.arms[arm].nets

    def plan_of(self, arm: str, seed: int = 0, changes: Sequence[str] = ()) -> TrainingPlan:
        """Return the plan of an arm under a seed; changes come last, on all arms alike."""
        changed = [*self.set, *self.arms[arm].set, *changes, f"seed={seed}"]
        try:
            return TrainingPlan.load(Path(self.folder) / self.plan, changed)
        except PlanError as error:
            raise PlanError(f"arm {arm!r} of the study {self.name!r}: {error}") from error

    def measure_of(self, arm: str) -> Measure:
        """Return what is measured of an arm."""
        values = {**self.measure.model_dump(), **self.arms[arm].measure}
        return checked(Measure, values, f"arm {arm!r} of the study {self.name!r}", PlanError)

    def wanted(self, arm: str) -> frozenset[str]:
        """Return the names of those bases that an arm wants and that have to be given."""
        named = {self.arms[arm].base, self.plan_of(arm).base if self.trains(arm) else None}
        return frozenset(name for name in named if name in self.bases)

    def check(self, arm: str, changes: Sequence[str] = ()) -> None:
        """Raise PlanError for an arm that cannot be followed, or whose run does not keep what is measured."""
        measure = self.measure_of(arm)
        if not self.trains(arm):
            return
        plan = self.plan_of(arm, self.seeds[0], changes)
        for step in (at for at in measure.at if at not in (0, END)):
            kept = range(plan.steps - plan.save.every * (plan.save.keep - 1), plan.steps + 1)
            if int(step) % plan.save.every or step not in kept:
                raise PlanError(
                    f"arm {arm!r} of the study {self.name!r} is measured at step {step}, whose state the run "
                    f"does not keep; set save.every to a divisor of it, and save.keep high enough"
                )
