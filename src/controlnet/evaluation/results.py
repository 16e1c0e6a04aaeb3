"""The outcome of an evaluation: rows of measures, as JSON, as Markdown, and as texts for a page."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from controlnet.evaluation.making import FREE
from controlnet.evaluation.metric import Pixels
from controlnet.files import whole

ARROWS: Final = {True: "↑", False: "↓"}


@dataclass(frozen=True)
class Measure:
    """What a metric tells of a row: headline, 95 % interval, of how many pictures; and all its numbers.

    scores: the headline of each picture by itself, for the metrics that have it; NaN for nothing to tell.
    """

    value: float
    interval: tuple[float, float] | None
    count: int
    all: Mapping[str, float]
    scores: Sequence[float] = ()


@dataclass(frozen=True)
class Row:
    """One subject under one prompt setting: how many pictures of how many examples, and what they measure."""

    subject: str
    kind: str
    prompt: str
    pictures: int
    measures: Mapping[str, Measure]
    closed: float | None = None
    """The share of the way from prompt only to the ceiling, in adherence."""

    @property
    def label(self) -> str:
        """Subject and prompt setting in a few words."""
        return self.subject if self.prompt == FREE else f"{self.subject}, {self.prompt}"


@dataclass(frozen=True)
class About:
    """What a metric is: the text that made it, its title and unit, and which way is better."""

    spec: str
    title: str
    unit: str
    higher_is_better: bool
    says: str


@dataclass(frozen=True)
class Section:
    """All rows under one condition; `adherence` names the metric that tells how far it is obeyed."""

    condition: str
    adherence: str
    metrics: Mapping[str, About]
    rows: Sequence[Row]
    published: Sequence[Mapping[str, Any]] = ()
    """Rows of a paper's table, to compare with."""
    grid: Sequence[tuple[str, Sequence[tuple[Pixels, str]]]] = ()
    """For the page: of some examples the caption, and with notes: condition, truth, each row's picture."""


@dataclass(frozen=True)
class Report:
    """The outcome: sections by condition, the settings, and the folder with pictures and files."""

    title: str
    sections: Sequence[Section]
    settings: Mapping[str, Any]
    out: Path
    notes: Sequence[str] = field(default_factory=tuple)

    def record(self) -> dict[str, Any]:
        """Return the content of results.json; NaN is null."""
        return {
            "title": self.title,
            "settings": dict(self.settings),
            "notes": list(self.notes),
            "conditions": [
                {
                    "condition": section.condition,
                    "adherence": section.adherence,
                    "metrics": {name: vars(about) for name, about in section.metrics.items()},
                    "rows": [_row(row) for row in section.rows],
                    "published": [dict(row) for row in section.published],
                }
                for section in self.sections
            ],
        }

    def markdown(self) -> str:
        """Return report.md."""
        parts = [f"# {self.title}\n"]
        if len(self.sections) > 1:
            parts += ["## Adherence under every condition\n", _markdown(*overview(self.sections))]
        for section in self.sections:
            parts += [f"## {section.condition}\n", _markdown(*table(section))]
            if section.published:
                parts += ["Published:\n", _markdown(*published(section))]
            parts += [f"- `{name}`: {about.title} ({about.unit})" for name, about in section.metrics.items()]
            parts.append("")
        parts += [*self.notes, "", "| setting | |\n| --- | --- |"]
        parts += [f"| {key} | {value} |" for key, value in self.settings.items()]
        return "\n".join(parts) + "\n"

    def write(self) -> None:
        """Write results.json, report.md and index.html, each whole or not at all."""
        from controlnet.evaluation.page import page_of

        with whole(self.out / "results.json") as part:
            part.write_text(json.dumps(self.record(), indent=2) + "\n", encoding="utf-8")
        with whole(self.out / "report.md") as part:
            part.write_text(self.markdown(), encoding="utf-8")
        page_of(self).write(self.out / "index.html")


def table(section: Section) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a section's table; every value with its interval and its count."""
    head = ["", "prompt", "pictures"]
    for name, about in section.metrics.items():
        head.append(f"{name} {ARROWS[about.higher_is_better]}")
    head.append("closed")
    rows = [
        [
            row.subject,
            "–" if row.prompt == FREE else row.prompt,
            str(row.pictures),
            *(told(row.measures.get(name), row.pictures) for name in section.metrics),
            "–" if row.closed is None else f"{row.closed:.0%}",
        ]
        for row in section.rows
    ]
    return head, rows


def overview(sections: Sequence[Section]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of a table of adherence alone: a row for each ControlNet under its condition.

    Beside each stand the prompt alone, under the same setting, and the ceiling, where they were measured.
    """
    head = ["condition", "", "pictures", "adherence", "prompt only", "with control", "ceiling", "closed"]
    rows: list[list[str]] = []
    for section in sections:
        measure = f"{section.adherence} {ARROWS[section.metrics[section.adherence].higher_is_better]}"
        for row in (row for row in section.rows if row.kind == "control"):
            alike = {one.kind: one for one in section.rows if one.prompt in (row.prompt, FREE)}
            alike[row.kind] = row  # of several ControlNets this one
            values = [
                told(one.measures.get(section.adherence), one.pictures) if (one := alike.get(kind)) else "–"
                for kind in ("prompt only", "control", "ceiling")
            ]
            closed = "–" if row.closed is None else f"{row.closed:.0%}"
            rows.append([section.condition, row.label, str(row.pictures), measure, *values, closed])
    return head, rows


def published(section: Section) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of what a paper has published."""
    keys = list(dict.fromkeys(key for row in section.published for key in row))
    head = ["" if key == "subject" else key for key in keys]
    return head, [[str(row.get(key, "–")) for key in keys] for row in section.published]


def told(measure: Measure | None, pictures: int) -> str:
    """Write a measure: value, interval, and of how many it was taken where not of all pictures."""
    if measure is None or math.isnan(measure.value):
        return "–"
    text = number(measure.value)
    if measure.interval is not None:
        text += f" [{number(measure.interval[0])}, {number(measure.interval[1])}]"
    return text + (f" of {measure.count}" if measure.count != pictures else "")


def number(value: float) -> str:
    """Write a number with three figures or so."""
    size = abs(value)
    return f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 10 else f"{value:.3f}"


def _row(row: Row) -> dict[str, Any]:
    return {
        "subject": row.subject,
        "kind": row.kind,
        "prompt": row.prompt,
        "pictures": row.pictures,
        "closed": _plain(row.closed),
        "measures": {
            name: {
                "value": _plain(measure.value),
                "interval": None
                if measure.interval is None
                else [_plain(bound) for bound in measure.interval],
                "count": measure.count,
                "all": {key: _plain(value) for key, value in measure.all.items()},
                "scores": [_plain(score) for score in measure.scores],
            }
            for name, measure in row.measures.items()
        },
    }


def _plain(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", "---", *("---:" for _ in head[2:])][: len(head)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
