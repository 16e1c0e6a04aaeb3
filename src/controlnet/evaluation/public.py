"""`controlnet.evaluate`: an evaluation in one call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from controlnet.backbones import Base
from controlnet.errors import SettingError
from controlnet.evaluation.results import Report
from controlnet.evaluation.run import Request, evaluate_request


def evaluate(
    controls: str | Path | Sequence[str | Path] | Mapping[str, str | Path],
    data: str | Path = "shapes",
    base: str | Path | Base = "shapes",
    out: str | Path = "report",
    *,
    condition: str | None = None,
    count: int = 24,
    prompts: Sequence[str] = ("perfect",),
    seeds: int = 1,
    metrics: Sequence[str] | None = None,
    pictures: Mapping[str, str | Path] | None = None,
    baselines: bool = True,
    size: int | None = None,
    mode: str | None = None,
    guidance_scale: float | None = None,
    steps: int = 20,
    sampler: str = "dpm++2m",
    seed: int = 0,
    device: str = "cpu",
) -> Report:
    """Measure ControlNets on a data set beside baselines; results.json, report.md and index.html go to `out`.

    The arguments are those of `controlnet.evaluation.run.Request`. A stopped call goes on in the same folder.
    Raises SettingError for what cannot be meant and for a folder with pictures of other settings,
    CheckpointError, DataError, and MissingWeights before any picture is made.
    """
    single = [controls] if isinstance(controls, str | Path) else controls
    named = dict(single) if isinstance(single, Mapping) else {_name(source): source for source in single}
    if not isinstance(single, Mapping) and len(named) < len(single):
        raise SettingError("two ControlNets have one name; give a mapping of names to sources")
    report = evaluate_request(
        Request(
            controls=named,
            out=Path(out),
            base=base,
            data=data,
            condition=condition,
            count=count,
            size=size,
            prompts=prompts,
            seeds=seeds,
            metrics=metrics,
            pictures=pictures,
            baselines=baselines,
            mode=mode,
            guidance_scale=guidance_scale,
            steps=steps,
            sampler=sampler,
            seed=seed,
            title=f"Evaluation of {', '.join([*named, *(pictures or {})])}",
            device=device,
        )
    )
    if report is None:
        raise SettingError(
            "only the first of several processes has a report; launch `controlnet evaluate` instead"
        )
    return report


def _name(source: str | Path) -> str:
    path = Path(source)
    return path.stem if path.suffix else path.name
