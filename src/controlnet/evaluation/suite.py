"""Ready suites: the settings and metrics of a published table, with what was published, to be repeated.

A suite is a YAML file in `suites/`, or one of a user's own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field

from controlnet.errors import SettingError, UnknownName
from controlnet.fields import checked
from controlnet.nearest import unknown

FOLDER: Final = Path(__file__).parent / "suites"


class Suite(BaseModel):
    """What a published evaluation was taken with, and what came out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    source: str = Field(description="The paper, its table, and the code that took it.")
    data: str = Field(description="The data that the user has to bring, in words.")
    condition: str
    metrics: Sequence[str]
    prompts: Sequence[str] = ("perfect",)
    count: int = Field(default=5000, ge=1)
    seeds: int = Field(default=1, ge=1)
    size: int | None = 512
    steps: int = 20
    guidance_scale: float = 7.5
    sampler: str = "unipc"
    mode: str = "balanced"
    negative: str = ""
    published: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()

    def settings(self) -> dict[str, Any]:
        """Return what the suite prescribes of an evaluation; `size` None leaves the base's."""
        told = ("title", "source", "data", "published", "notes")
        return {key: value for key, value in self.model_dump().items() if key not in told}


def suites() -> tuple[str, ...]:
    """Name the ready suites, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def load_suite(source: str | Path) -> Suite:
    """Load a ready suite by name, or a YAML file; UnknownName, SettingError for what cannot be read."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        if str(source) not in suites():
            raise UnknownName(unknown("suite", str(source), suites()))
        path = FOLDER / f"{source}.yaml"
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingError(f"cannot read the suite {path} ({error}); wanted a YAML file") from error
    if not isinstance(told, dict):
        raise SettingError(
            f"{path} holds no settings; wanted such as those of {FOLDER.name}/{suites()[0]}.yaml"
        )
    return checked(Suite, told, str(source))
