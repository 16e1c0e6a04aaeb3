"""From the options of `controlnet evaluate` to a report, and the lines that tell of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from controlnet.errors import SettingError

if TYPE_CHECKING:
    from controlnet.evaluation.results import Report

REPORTS: Final = Path("reports")


@dataclass(frozen=True)
class Asked:
    """The options of one call."""

    nets: Sequence[str]
    base: str
    data: str
    condition: str | None
    out: Path | None
    count: int
    prompts: Sequence[str]
    seeds: int
    metrics: Sequence[str] | None
    pictures: Sequence[str]
    baselines: bool
    mode: str | None
    guidance: float | None
    steps: int
    sampler: str
    negative: str
    size: int | None
    seed: int
    batch: int
    device: str


def run(asked: Asked, suite: str | None, given: set[str], sheet: Path | None = None) -> Iterator[str]:
    """Evaluate, and yield what is to be said; `given` names the options that stand on the command line.

    sheet: a file for one picture of all conditions side by side.
    """
    from controlnet.cli._memory import keep_freed_memory
    from controlnet.cli._progress import progress
    from controlnet.evaluation.prompts import checked
    from controlnet.evaluation.run import Request, evaluate_request
    from controlnet.evaluation.suite import load_suite
    from controlnet.sampling.control import mode_of
    from controlnet.sampling.schedulers import sampler_name

    # What can be wrong without a network is found before any is loaded.
    checked(asked.prompts)
    controls, pictures = named(asked.nets, "NET"), named(asked.pictures, "--pictures")
    told = None if suite is None else load_suite(suite)
    settings: dict[str, Any] = {
        "condition": asked.condition,
        "count": asked.count,
        "prompts": asked.prompts,
        "seeds": asked.seeds,
        "metrics": asked.metrics,
        "guidance_scale": asked.guidance,
        "mode": asked.mode,
        "steps": asked.steps,
        "sampler": asked.sampler,
        "negative": asked.negative,
        "size": asked.size,
    }
    if told is not None:
        mine = {
            "metrics" if name == "metric" else "guidance_scale" if name == "guidance" else name
            for name in given
        }
        settings |= {key: value for key, value in told.settings().items() if key not in mine}
    settings["sampler"] = sampler_name(settings["sampler"])
    settings["mode"] = None if settings["mode"] is None else mode_of(settings["mode"])
    name = next(iter([*controls, *pictures]))
    out = asked.out or REPORTS / (name if suite is None else f"{name}-{Path(suite).stem}")
    request = Request(
        controls=controls,
        pictures=pictures,
        out=out,
        base=asked.base,
        data=asked.data,
        baselines=asked.baselines,
        seed=asked.seed,
        batch=asked.batch,
        device=_device(asked.device),
        title=f"Evaluation of {', '.join([*controls, *pictures])}" if told is None else told.title,
        published=() if told is None else told.published,
        notes=() if told is None else (told.source, *told.notes),
        **settings,
    )
    keep_freed_memory()
    report = evaluate_request(request, progress)
    if report is None:  # another process tells
        return
    yield from summary(report)
    if sheet is not None:
        from controlnet.cli._evaluate.sheet import write_sheet

        write_sheet(report, sheet)
        yield f"{sheet}"


def named(texts: Sequence[str], what: str) -> dict[str, str]:
    """Read NAME=SOURCE or SOURCE, whose name is its own; SettingError for one name twice or nothing."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if not equals or Path(text).exists():
            name, source = _own_name(text), text
        if not name.strip() or not source.strip():
            raise SettingError(f"{what} {text!r}: wanted a source, or NAME=SOURCE")
        if name in found:
            raise SettingError(f"{what}: two are called {name!r}; name them apart: NAME=SOURCE")
        found[name.strip()] = source
    return found


def summary(report: "Report") -> Iterator[str]:
    """Yield the table in a few lines, and where the rest is."""
    from controlnet.evaluation.results import told

    for section in report.sections:
        yield f"{section.condition}:"
        for row in section.rows:
            values = [f"{name} {told(row.measures.get(name), row.pictures)}" for name in section.metrics]
            way = "" if row.closed is None else f", {row.closed:.0%} closed"
            yield f"  {row.label} ({row.pictures} pictures): {', '.join(values)}{way}"
    yield f"{report.out / 'index.html'}"


def _own_name(source: str) -> str:
    path = Path(source)
    stem = path.stem if path.suffix else path.name
    # A run's own file says nothing by its name, its folder does.
    return path.parent.name if stem == "controlnet" and path.parent.name else stem or source


def _device(name: str) -> str:
    from controlnet.cli._loading import device_of
    from controlnet.evaluation.ranks import Ranks

    found = device_of(name)
    ranks = Ranks.here()
    return f"cuda:{ranks.local}" if found == "cuda" and ranks.count > 1 else found
