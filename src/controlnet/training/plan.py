"""TrainingPlan: everything that decides a run, in one frozen, nested, legible piece of YAML.

    name: circles
    base: shapes
    control:   {hint: unshuffle}
    data:      {source: circles, count: 2000}
    optim:     {lr: 1.0e-4, multiplier: 5}
    steps: 1000

An unknown key is refused by naming the nearest known one. The only way to change a plan is an override,
`--set optim.lr=1e-5`. The plan is saved with the run and inside the weights, so a file can say how it was
made.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, model_validator

from controlnet.errors import PlanError
from controlnet.fields import checked
from controlnet.nearest import near
from controlnet.training.engine_part import EnginePart, Precision
from controlnet.training.older import VERSION, current
from controlnet.training.phases import Phase, Stage, check, stages
from controlnet.training.sections import (
    Control,
    Data,
    EmaPart,
    ObjectivePart,
    Optim,
    Save,
    Section,
    WatchPart,
)


class TrainingPlan(Section):
    """Everything that decides a training run."""

    name: str = Field(pattern=r"^[\w.-]+$", description="Name of the run; letters, digits, . _ -")
    base: str = Field(
        default="shapes",
        min_length=1,
        description='The locked model: "shapes", a folder, a file or a hub id.',
    )
    control: Control = Control()
    data: Data
    objective: ObjectivePart = ObjectivePart()
    optim: Optim = Optim()
    ema: EmaPart = EmaPart()
    watch: WatchPart = WatchPart()
    save: Save = Save()
    phases: tuple[Phase, ...] = Field(
        default=(), description="Phases, one after the other (docs/training.md); none: one and the same."
    )
    steps: int = Field(ge=1, description="Optimizer steps.")
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Seed of weights, order, noise, timesteps and prompt dropout."
    )
    precision: Precision = Field(default="fp32", description="Arithmetic of the passes.")
    device: Literal["auto", "cpu"] = Field(
        default="auto", description="The machine's accelerator where it has one, or the CPU."
    )
    engine: EnginePart = EnginePart()
    out: str | None = Field(default=None, description="Folder of the run; none: runs/NAME.")

    @model_validator(mode="after")
    def _phases_that_follow(self) -> Self:
        check(self.stages, self.watch)
        return self

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The phases with everything said; one where the plan has none."""
        return stages(self.phases, self.control, self.optim)

    @model_validator(mode="after")
    def _engine_fits(self) -> Self:
        if self.engine.base == "fp16" and self.precision != "fp16":
            raise ValueError(
                f"engine.base is fp16 and precision {self.precision}; gradients through half precision want "
                "their loss scaled: set precision to fp16 too, or engine.base to bf16"
            )
        if self.engine.shard and (self.engine.channels_last or self.optim.kind != "adamw"):
            raise ValueError("engine.shard goes with neither engine.channels_last nor optim.kind: adamw8bit")
        return self

    @property
    def folder(self) -> Path:
        """Folder of the run."""
        return Path(self.out or f"runs/{self.name}")

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> "TrainingPlan":
        """Read a plan from a YAML file and apply overrides such as "optim.lr=1e-5".

        Raises PlanError for a file that cannot be read, an unknown key or a value that does not fit.
        """
        path = Path(path)
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise PlanError(
                f"cannot read the plan {path} ({error.strerror}); give the path of a YAML file"
            ) from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            where = " ".join(str(error).split())
            raise PlanError(f"{path} is not YAML ({where}); mend the file at that place") from error
        if not isinstance(values, Mapping):
            raise PlanError(
                f"{path} holds {type(values).__name__}; wanted keys and values such as 'steps: 1000'"
            )
        return cls.of(values, overrides, subject=str(path))

    @classmethod
    def of(
        cls, values: Mapping[str, Any], overrides: Iterable[str] = (), subject: str = "the plan"
    ) -> "TrainingPlan":
        """Make a plan from nested values and overrides; PlanError, headed by the subject, for a misfit."""
        nested = current(_deep_copy(values), subject)
        for override in overrides:
            _apply(nested, override)
        _refuse_unknown(_dotted(nested), subject)
        return checked(cls, nested, subject, PlanError)

    def override(self, overrides: Iterable[str]) -> "TrainingPlan":
        """Return the plan with overrides such as "optim.lr=1e-5" applied and everything checked anew."""
        return type(self).of(self.values(), overrides)

    def values(self) -> dict[str, Any]:
        """Return the plan as plain nested values, as YAML and JSON hold them."""
        return {"version": VERSION, **self.model_dump(mode="json", by_alias=True)}

    def to_yaml(self) -> str:
        """Return the whole plan, defaults included, as YAML that `load` reads back."""
        return yaml.safe_dump(self.values(), sort_keys=False, allow_unicode=True)


def keys(model: type[BaseModel] = TrainingPlan) -> list[str]:
    """Return every key of a plan with dots, "optim.lr", sections included."""
    found: list[str] = []
    for name, field in model.model_fields.items():
        key = field.alias or name
        found.append(key)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += [f"{key}.{inner}" for inner in keys(field.annotation)]
    return found


def _apply(values: dict[str, Any], override: str) -> None:
    """Set one "a.b=value" in nested values; the value is read as YAML, then typed by the plan itself."""
    key, equals, text = override.partition("=")
    key = key.strip()
    if not equals or not key:
        raise PlanError(
            f"cannot read the override {override!r}; write it as key=value, such as optim.lr=1e-5"
        )
    _refuse_unknown([key], f"override {override!r}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PlanError(
            f"cannot read the value of {override!r}; write it as YAML would, such as [0.9, 0.99]"
        ) from error
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise PlanError(
                f"cannot set {key}: {section} is {values!r}; wanted a section with keys of its own"
            )
    values[last] = value


def _dotted(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Give every key of nested values with dots, as `keys` does."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")


def _refuse_unknown(given: Iterable[str], subject: str) -> None:
    known = keys()
    problems = [_unknown(key, known) for key in given if key not in known]
    if problems:
        raise PlanError(f"{subject}: {'; '.join(problems)}")


def _unknown(key: str, known: list[str]) -> str:
    # A key at the wrong level ("lr") is as common as a misspelt one ("optim.lrr").
    last = key.rpartition(".")[2]
    homes = [name for name in known if name.rpartition(".")[2] == last]
    likely = homes or near(key, known) or near(last, known)
    mend = f"did you mean {' or '.join(likely)}?" if likely else f"there are: {', '.join(known)}"
    return f"a plan has no key {key!r}; {mend}"


def _deep_copy(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _deep_copy(value) if isinstance(value, Mapping) else value for key, value in values.items()}
