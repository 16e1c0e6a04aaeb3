"""What comes of a run, and the versions that it came about with."""

import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from controlnet import __version__


@dataclass(frozen=True)
class TrainingResult:
    """A finished run.

    folder and weights: where it lies, and the trained ControlNet in it. arrived_at: the step at which
    control arrived, None where it has not (see `watch`); gain_rose_at, adherence_rose_at: what each
    instrument says. loss, gain, adherence: the last ones measured, None where switched off. seconds: of
    work, those before a resume included.
    """

    folder: Path
    weights: Path
    steps: int
    loss: float | None
    held_out_loss: float | None
    gain: float | None
    gain_error: float | None
    adherence: float | None
    adherence_of_base: float | None
    arrived_at: int | None
    gain_rose_at: int | None
    adherence_rose_at: int | None
    seconds: float
    steps_per_second: float

    def values(self) -> dict[str, Any]:
        """Return the content of result.json: the result, and versions and machine that it came about with."""
        paths = {"folder": str(self.folder), "weights": str(self.weights)}
        return {**asdict(self), **paths, "versions": versions()}


def versions() -> dict[str, str]:
    """Return the versions of this package, of what it computes with, and the kind of machine."""
    parts = {name: version(name) for name in ("torch", "diffusers", "transformers", "accelerate")}
    return {
        "controlnet": __version__,
        **parts,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
    }
