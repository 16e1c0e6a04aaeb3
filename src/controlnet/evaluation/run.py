"""From a request to a report: ControlNets, the base alone and pictures from elsewhere, on a data set."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from controlnet import registry
from controlnet.backbones import Base, load_base
from controlnet.errors import SettingError
from controlnet.evaluation.cases import SHAPES, Cases
from controlnet.evaluation.choice import adherence, possible, usual
from controlnet.evaluation.making import Gallery, Sampling, settings_of
from controlnet.evaluation.measuring import about, measure
from controlnet.evaluation.metric import Pixels
from controlnet.evaluation.prompts import SETTINGS, checked
from controlnet.evaluation.ranks import Ranks
from controlnet.evaluation.results import Report, Row, Section, number
from controlnet.evaluation.subjects import (
    CEILING,
    PROMPT_ONLY,
    Subject,
    control,
    elsewhere,
    together,
    unlike,
)
from controlnet.sampling.control import Law

GUIDANCE: Final = 7.5  # where no ControlNet's file tells what its training sampled with
SHOWN: Final = 6  # examples on the page

Bar = Callable[[str, int, str], AbstractContextManager[Callable[[int], object]]]
"""What is done, how many, and of what; gives what is to be told of every piece that is done."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, on what and how; what is None is chosen, and told in the report.

    controls: ControlNets by path, shipped name or hub id, as a mapping under names of one's own; a sequence
    of them acts at once, each on maps of its own condition, and is measured under `condition`. pictures:
    folders of pictures from elsewhere, by name, in the data set's order. data: "shapes" or a data set's
    folder. condition: where neither a ControlNet's file nor the data set tells. size: side in pixels; the
    base's own unless given. prompts: settings of `prompts.SETTINGS`. seeds: pictures of each example.
    metrics: their texts, such as "edge_f1(low=50)". baselines: the base by its prompt alone, and the
    autoencoder's reconstruction of the true pictures. mode, guidance_scale: else those of the ControlNet's
    own training, or "balanced" and 7.5. law: of the soft weights, in the modes that have them. published:
    rows of a paper's table, shown beside.
    """

    controls: Mapping[str, str | Path | Sequence[str | Path]]
    out: Path
    base: str | Path | Base = SHAPES
    data: str | Path = SHAPES
    condition: str | None = None
    count: int = 24
    size: int | None = None
    prompts: Sequence[str] = ("perfect",)
    seeds: int = 1
    metrics: Sequence[str] | None = None
    pictures: Mapping[str, str | Path] | None = None
    baselines: bool = True
    mode: str | None = None
    law: Law | None = None
    guidance_scale: float | None = None
    steps: int = 20
    sampler: str = "dpm++2m"
    negative: str = ""
    seed: int = 0
    batch: int = 8
    title: str = "Evaluation"
    published: Sequence[Mapping[str, Any]] = ()
    notes: Sequence[str] = ()
    device: str = "cpu"


def evaluate_request(request: Request, bar: Bar | None = None) -> Report | None:
    """Make what pictures are lacking, measure all of them, and write the report into the request's folder.

    A run that was stopped goes on; pictures are not made again. Where several processes were launched
    (torchrun), each makes its share, the first measures, and the others get None. Raises SettingError for
    what cannot be meant and for a folder with pictures of other settings, and MissingWeights before any
    picture is made.
    """
    ranks, told = Ranks.here(), bar or _silent
    prompts = checked(request.prompts)
    if request.seeds < 1 or not prompts:
        raise SettingError(
            f"got {request.seeds} seeds and {len(prompts)} prompt settings; wanted at least one each"
        )
    subjects = unlike(_subjects(request))
    controls = [subject for subject in subjects if subject.kind == "control"]
    sampling = Sampling(
        request.steps,
        next(
            (g for g in (request.guidance_scale, *(c.guidance for c in controls)) if g is not None), GUIDANCE
        ),
        request.sampler,
        request.negative,
        request.seed,
        request.batch,
    )
    base = request.base if isinstance(request.base, Base) else load_base(request.base, device=request.device)
    size = request.size or base.sample_size
    groups = [
        (
            Cases(request.data, condition, size, request.count),
            [s for s in subjects if _under(s, condition, request)],
        )
        for condition in _conditions(controls, request)
    ]
    embedded = request.data == SHAPES or base.name == SHAPES
    plans = [_metrics(cases, request, embedded) for cases, _ in groups]
    galleries = [Gallery(request.out, base, cases, sampling, request.seeds) for cases, _ in groups]
    for gallery, (cases, members) in zip(galleries, groups, strict=True):
        for subject in members:
            if ranks.first:
                gallery.claim(subject, cases.condition)
    ranks.wait()
    for gallery, (cases, members) in zip(galleries, groups, strict=True):
        lacking = sum(
            len(rows)
            for subject in members
            for setting in settings_of(subject, prompts)
            for _, rows in gallery.lacking(subject, setting)
        )
        with told(f"pictures, {cases.condition}", lacking, "pictures") as advance:
            for subject in members:
                gallery.make(subject, settings_of(subject, prompts), ranks, advance)
    ranks.wait()
    ranks.end()
    if not ranks.first:
        return None
    sections = [
        _section(gallery, cases, members, prompts, specs, request, told)
        for gallery, (cases, members), specs in zip(galleries, groups, plans, strict=True)
    ]
    report = Report(
        request.title,
        sections,
        _settings(request, base, sampling, groups, prompts),
        request.out,
        request.notes,
    )
    report.write()
    return report


def _subjects(request: Request) -> list[Subject]:
    found = [
        control(source, name) if isinstance(source, str | Path) else together(source, name)
        for name, source in request.controls.items()
    ]
    found = [replace(one, mode=request.mode or one.mode, law=request.law) for one in found]
    found += [elsewhere(name, folder) for name, folder in (request.pictures or {}).items()]
    if not found and not request.baselines:
        raise SettingError("got nothing to evaluate; wanted a ControlNet, or a folder of pictures")
    if request.baselines:
        found = [Subject(PROMPT_ONLY, "prompt only"), *found, Subject(CEILING, "ceiling")]
    return found


def _conditions(controls: Sequence[Subject], request: Request) -> list[str | None]:
    """Return the conditions to evaluate under, each once; None is what the data set stores."""
    if request.condition is not None:
        return [request.condition]
    own = [subject.condition for subject in controls]
    return list(dict.fromkeys(own)) or [None]


def _under(subject: Subject, condition: str | None, request: Request) -> bool:
    return subject.kind != "control" or request.condition is not None or subject.condition == condition


def _metrics(cases: Cases, request: Request, embedded: bool) -> dict[str, str]:
    """Return the metrics' texts by their names, adherence first; two of one by their texts."""
    asked = request.metrics is not None
    specs = list(request.metrics or usual(cases.spec, embedded, request.seeds))
    found = possible(specs, asked, min(cases.size, 256))
    if not found:
        raise SettingError(
            "no metric is left that can be taken here; fetch their weights, or name others by --metric"
        )
    names = [registry.parse(spec)[0] for spec in found]
    return {spec if names.count(name) > 1 else name: spec for name, spec in zip(names, found, strict=True)}


def _section(
    gallery: Gallery,
    cases: Cases,
    members: Sequence[Subject],
    prompts: Sequence[str],
    specs: Mapping[str, str],
    request: Request,
    bar: Bar,
) -> Section:
    wanted = registry.parse(adherence(cases.spec))[0]
    first = wanted if wanted in specs else next(iter(specs))
    total = len(cases) * sum(gallery.seeds(s) * len(settings_of(s, prompts)) for s in members)
    with bar(f"measuring, {cases.condition}", total, "pictures") as advance:
        rows = measure(gallery, cases, members, prompts, specs, first, advance)
    by_name = {subject.name: subject for subject in members}
    grid = [_shown(gallery, cases, index, rows, by_name, first) for index in range(min(SHOWN, len(cases)))]
    metrics = {name: about(spec) for name, spec in specs.items()}
    return Section(cases.condition, first, metrics, rows, request.published, grid)


def _shown(
    gallery: Gallery,
    cases: Cases,
    index: int,
    rows: Sequence[Row],
    subjects: Mapping[str, Subject],
    adherence: str,
) -> tuple[str, list[tuple[Pixels, str]]]:
    """Return caption and pictures of an example, each with its adherence where a single picture has any."""
    case = cases[index]
    cells: list[tuple[Pixels, str]] = [(case.condition, ""), (case.truth, "")]
    for row in rows:
        subject = subjects[row.subject]
        scores = row.measures[adherence].scores
        score = scores[index * gallery.seeds(subject)] if scores else float("nan")
        note = "" if score != score else number(score)
        if row.prompt == "conflicting":
            note = f"{note} “{gallery.prompt(subject, row.prompt, case)}”".strip()
        cells.append((gallery.read(subject, row.prompt, index), note))
    return case.caption, cells


def _settings(
    request: Request,
    base: Base,
    sampling: Sampling,
    groups: Iterable[tuple[Cases, Sequence[Subject]]],
    prompts: Sequence[str],
) -> dict[str, Any]:
    told: dict[str, Any] = {"base": f"{base.name} ({base.fingerprint()})"}
    for cases, members in groups:
        told[f"examples, {cases.condition}"] = f"{len(cases)} of {cases.data}, {cases.size} pixels"
        for subject in members:
            if subject.kind == "control":
                along = f", decoder {subject.decoder}" if subject.decoder else ""
                law = f", law {subject.law}" if subject.law else ""
                mode = f"mode {subject.mode or 'balanced'}{law}"
                told[f"ControlNet {subject.name}"] = f"{subject.digest}, {mode}{along}"
            elif subject.kind == "pictures":
                told[f"pictures {subject.name}"] = str(subject.source)
    told |= {f"prompt {name}": SETTINGS[name] for name in prompts}
    told |= {key.replace("_", " "): value for key, value in asdict(sampling).items()}
    return told | {"negative": sampling.negative or "(none)", "seeds of each example": request.seeds}


def _silent(what: str, total: int, unit: str) -> AbstractContextManager[Callable[[int], object]]:
    return nullcontext(lambda units: None)
