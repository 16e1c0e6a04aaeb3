"""A study's outcome as a Markdown table: means over seeds with their spread, what stands beside, how many."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from controlnet.evaluation.results import ARROWS, number
from controlnet.evaluation.subjects import CEILING, PROMPT_ONLY
from controlnet.studies.outcome import ArmOutcome, Outcome, Values
from controlnet.studies.study import END, Moment

NOTHING: Final = "–"
DISTANCE: Final = "distance"
WAYS: Final = ("gain from step", "arrival")


def table(outcome: Outcome) -> str:
    """Return the table; rows for what stands beside where it is the same for all arms, else columns."""
    arms = [arm for arm in outcome.arms if arm.seeds]
    if not arms:
        return "Nothing was computed yet.\n"
    if not any(arm.measured for arm in arms):
        return _markdown(*_of_runs(arms, outcome.wanted))
    alike = len({_first_beside(arm) for arm in arms if arm.beside}) < 2
    return _markdown(*(_with_rows if alike else _with_columns)(arms, outcome.wanted))


def _first_beside(arm: ArmOutcome) -> str:
    """Return what stands beside an arm under its first seed: others may have come to more seeds."""
    first = [(subject, key, each[0]) for subject, told in arm.beside.items() for key, each in told.items()]
    return repr(sorted(first))


def _with_rows(arms: Sequence[ArmOutcome], wanted: int) -> tuple[list[str], list[list[str]]]:
    keys = _keys(arms)
    several = len({prompt for prompt, _ in keys}) > 1
    first = None if several else _metrics(arms)[0]  # so many columns are wide enough
    head = ["", "seeds", *WAYS]
    for prompt, metric in keys:
        head.append(_headed(metric, arms) + f", {_said(prompt)}" * (several and metric != DISTANCE))
        head += ["closed"] * (metric == first)
    widest = max(arms, key=lambda arm: len(arm.seeds))
    rows = [_beside(widest, PROMPT_ONLY, keys, first)]
    for arm in arms:
        for at in arm.measured:
            row = [_label(arm, at), _seeds(arm, wanted), *_ways(arm, at)]
            for prompt, metric in keys:
                row.append(told(arm.values(at, prompt, metric)))
                row += [_closed(arm, at, prompt)] * (metric == first)
            rows.append(row)
        if not arm.measured:
            rows.append([arm.name, _seeds(arm, wanted), *_ways(arm), *[NOTHING] * (len(head) - 4)])
    rows.append(_beside(widest, CEILING, keys, first))
    return _without_empty(head, rows)


def _with_columns(arms: Sequence[ArmOutcome], wanted: int) -> tuple[list[str], list[list[str]]]:
    prompts = list(dict.fromkeys(prompt for arm in arms for prompt, _ in _keys([arm])))
    names = {arm.adherence for arm in arms}
    others = [name for name in _metrics(arms) if name not in names]
    head = ["", "prompt", "seeds", *WAYS, "metric", PROMPT_ONLY, "with control", CEILING, "closed"]
    head += [_headed(name, arms) for name in others]
    rows: list[list[str]] = []
    for arm in arms:
        metric = arm.adherence or ""
        for at in arm.measured:
            for prompt in prompts:
                rows.append(
                    [
                        *(_label(arm, at), _said(prompt), _seeds(arm, wanted)),
                        *_ways(arm, at),
                        _headed(metric, [arm]),
                        told(arm.of_beside(PROMPT_ONLY, prompt, metric)),
                        told(arm.values(at, prompt, metric)),
                        told(arm.of_beside(CEILING, prompt, metric)),
                        _closed(arm, at, prompt),
                        *(told(arm.values(at, prompt, name)) for name in others),
                    ]
                )
    if len(prompts) == 1:
        head.remove("prompt")
        rows = [[row[0], *row[2:]] for row in rows]
    return _without_empty(head, rows)


def _of_runs(arms: Sequence[ArmOutcome], wanted: int) -> tuple[list[str], list[list[str]]]:
    """Tell of runs alone what they have recorded last."""
    head = ["", "seeds", *WAYS, "control gain", "adherence", "of the base alone"]
    rows = [
        [
            arm.name,
            _seeds(arm, wanted),
            *_ways(arm),
            *(
                told(Values([curve[-1][1] for curve in arm.curves.get(name, []) if curve]))
                for name in ("gain", "adherence", "adherence_of_base")
            ),
        ]
        for arm in arms
    ]
    return _without_empty(head, rows)


def reached(arm: ArmOutcome, steps: Sequence[int | None]) -> str:
    """Tell the mean step at which the runs of an arm reached something, and how many where not all did."""
    if not arm.trains:
        return NOTHING
    found = [float(step) for step in steps if step is not None]
    lost = f"; {len(arm.diverged)} diverged" * bool(arm.diverged)
    if not found:
        return "not" + lost if steps else f"diverged ({len(arm.diverged)})"
    few = f" ({len(found)} of {len(steps)})" * (len(found) < len(steps))
    values = Values(found)
    spread = "" if math.isnan(values.spread) else f" ± {values.spread:.0f}"
    return f"{values.mean:.0f}{spread}{few}{lost}"


def _ways(arm: ArmOutcome, at: Moment = END) -> list[str]:
    if at != END:
        return [NOTHING, NOTHING]
    return [reached(arm, arm.rose), reached(arm, arm.arrived)]


def told(values: Values) -> str:
    """Write a mean and its spread, if there is one."""
    if math.isnan(values.mean):
        return NOTHING
    if not any(values.each):
        return "0"  # exactly
    spread = "" if math.isnan(values.spread) else f" ± {number(values.spread)}"
    return number(values.mean) + spread


def _beside(arm: ArmOutcome, subject: str, keys: Sequence[tuple[str, str]], first: str | None) -> list[str]:
    row = [subject, "", "", ""]
    for prompt, metric in keys:
        row.append(told(arm.of_beside(subject, prompt, metric)))
        row += [""] * (metric == first)
    return row


def _headed(metric: str, arms: Sequence[ArmOutcome]) -> str:
    """Return a metric's name and which way is better, where one is."""
    higher = {name: up for arm in arms for name, up in arm.higher.items()}
    return f"{metric} {ARROWS[higher[metric]]}" if metric in higher else metric


def _closed(arm: ArmOutcome, at: Moment, prompt: str) -> str:
    """Tell which share of the way from the prompt alone to the ceiling the adherence has come."""
    metric = arm.adherence or ""
    own = arm.values(at, prompt, metric).mean
    low, high = (arm.of_beside(subject, prompt, metric).mean for subject in (PROMPT_ONLY, CEILING))
    return NOTHING if math.isnan(own + low + high) or low == high else f"{(own - low) / (high - low):.0%}"


def _label(arm: ArmOutcome, at: Moment) -> str:
    if list(arm.measured) == [END]:
        return arm.name
    return f"{arm.name}, step {arm.steps if at == END else at}"


def _said(prompt: str) -> str:
    return "no prompt" if prompt == "none" else prompt


def _seeds(arm: ArmOutcome, wanted: int) -> str:
    return f"{len(arm.seeds)} of {wanted}" if len(arm.seeds) < wanted else str(wanted)


def _metrics(arms: Sequence[ArmOutcome]) -> list[str]:
    return list(dict.fromkeys(metric for _, metric in _keys(arms)))


def _keys(arms: Sequence[ArmOutcome]) -> list[tuple[str, str]]:
    """Return prompt settings and metrics of which anything is told, the metrics in order."""
    found = [key for arm in arms for values in arm.measured.values() for key in values]
    metrics = list(dict.fromkeys(metric for _, metric in found))
    return sorted(dict.fromkeys(found), key=lambda key: metrics.index(key[1]))


def _without_empty(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    kept = [place for place in range(len(head)) if not place or any(_says(row[place]) for row in rows)]
    return [head[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _says(cell: str) -> bool:
    return cell not in ("", NOTHING)


def _lines(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    yield head
    yield ["---", *("---:" for _ in head[1:])]
    yield from rows


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in _lines(head, rows)) + "\n"
