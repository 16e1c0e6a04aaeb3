"""From the pictures of an evaluation to rows of measures: every picture is read once, for all metrics."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controlnet import registry
from controlnet.evaluation.averaged import Averaged
from controlnet.evaluation.cases import Cases
from controlnet.evaluation.making import Gallery, settings_of
from controlnet.evaluation.metric import Metric
from controlnet.evaluation.results import About, Measure, Row
from controlnet.evaluation.subjects import CEILING, PROMPT_ONLY, Subject

# A table is read from the least to the most.
_ORDER = {"prompt only": 0, "pictures": 1, "control": 2, "ceiling": 3}


def measure(
    gallery: Gallery,
    cases: Cases,
    subjects: Sequence[Subject],
    prompts: Sequence[str],
    specs: Mapping[str, str],
    adherence: str,
    advance: Callable[[int], object],
) -> list[Row]:
    """Measure all subjects under all prompt settings; `specs` are the metrics by name.

    The examples come one after another, and of each the pictures of all subjects: it is read only once.
    """
    arms = [
        (subject, setting)
        for subject in sorted(subjects, key=lambda one: _ORDER[one.kind])
        for setting in settings_of(subject, prompts)
    ]
    metrics: list[dict[str, Metric]] = [
        {name: registry.get("metrics", spec) for name, spec in specs.items()} for _ in arms
    ]
    for index in range(len(cases)):
        case = cases[index]
        for (subject, setting), own in zip(arms, metrics, strict=True):
            prompt = gallery.prompt(subject, setting, case)
            for number in range(gallery.seeds(subject)):
                picture = gallery.read(subject, setting, index, number)
                for metric in own.values():
                    metric.update(picture, case.condition, prompt, case.truth)
                advance(1)
    rows = [
        Row(
            subject.name,
            subject.kind,
            setting,
            len(cases) * gallery.seeds(subject),
            {name: _measured(metric) for name, metric in own.items()},
        )
        for (subject, setting), own in zip(arms, metrics, strict=True)
    ]
    return [replace(row, closed=_closed(row, rows, adherence)) for row in rows]


def about(spec: str) -> About:
    """Tell what a metric is."""
    kind: type[Metric] = registry.find("metrics", registry.parse(spec)[0])
    says = inspect.getdoc(kind) or ""
    return About(
        spec, kind.title, kind.unit, kind.higher_is_better, says.partition("\n\n")[0].replace("\n", " ")
    )


def _measured(metric: Metric) -> Measure:
    found = metric.compute()
    value = next(iter(found.values()))
    interval = None if math.isnan(value) else metric.interval()
    scores = metric.scores() if isinstance(metric, Averaged) else ()
    return Measure(value, interval, metric.count, found, scores)


def _closed(row: Row, rows: Sequence[Row], adherence: str) -> float | None:
    """Return the share of the way from the prompt alone, under the same setting, to the ceiling."""

    def value(subject: str, prompt: str | None) -> float:
        for other in rows:
            if other.subject == subject and prompt in (None, other.prompt):
                return other.measures[adherence].value
        return float("nan")

    if row.kind not in ("control", "pictures") or adherence not in row.measures:
        return None
    low = value(PROMPT_ONLY, row.prompt if row.kind == "control" else "perfect")
    high, own = value(CEILING, None), row.measures[adherence].value
    if math.isnan(low + high + own) or low == high:
        return None
    return (own - low) / (high - low)
