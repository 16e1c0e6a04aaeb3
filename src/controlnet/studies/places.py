"""Where runs and measurements lie: named by what decides them, so that none is made twice.

OUT/runs/PLAN-KEY/            a run like any other; studies share those whose plans are the same
OUT/starts/                   what runs begin with, where it is measured
OUT/measured/PLAN-STEP-KEY/   an evaluation: results.json, report.md, index.html, pictures/
OUT/NAME/                     what is told of a study: results.json, table.md, the picture
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from controlnet.studies.study import END, Moment
from controlnet.training.folder import RunFolder
from controlnet.training.plan import TrainingPlan
from controlnet.training.start import EMA, NET

DIVERGED: Final = "diverged.json"


@dataclass(frozen=True)
class Places:
    """The folder that studies share."""

    root: Path

    def run(self, plan: TrainingPlan) -> RunFolder:
        """Return the folder of a plan's run; neither its name nor its former place decides it."""
        own = {key: value for key, value in plan.values().items() if key not in ("name", "out")}
        return RunFolder(self.root / "runs" / f"{plan.name}-{key_of({**own, 'of': fingerprint(plan.base)})}")

    def weights(self, plan: TrainingPlan, at: Moment) -> Path:
        """Return where a run's weights are, or will be: at its end, or what it would deliver at a step."""
        folder = self.run(plan)
        if at == END:
            return folder.weights
        if at == 0:
            return self.root / "starts" / f"{folder.root.name}.safetensors"
        return folder.states / f"step-{at:06d}" / (NET if plan.ema.decay is None else EMA)

    def has(self, plan: TrainingPlan, at: Moment) -> bool:
        """Tell whether these weights are there; the run's own only once it is done."""
        return (self.run(plan).result if at == END else self.weights(plan, at)).is_file()

    def measured(self, label: str, of: Mapping[str, Any]) -> Path:
        """Return the folder of an evaluation, by all that decides it."""
        return self.root / "measured" / f"{label}-{key_of(of)}"

    def told(self, study: str) -> Path:
        """Return the folder of a study's own files."""
        return self.root / study


def key_of(values: Mapping[str, Any]) -> str:
    """Name nested values by their content."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]


@cache
def fingerprint(base: str) -> str:
    """Return the fingerprint of a base's weights."""
    from controlnet.backbones import load_base

    return load_base(base).fingerprint()
