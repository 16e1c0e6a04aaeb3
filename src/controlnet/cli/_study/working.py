"""From the options of `controlnet study` to runs, measurements and tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from controlnet.cli._plans import PLACES, shipped_plan
from controlnet.errors import SettingError

if TYPE_CHECKING:
    from controlnet.studies.study import Study


def show() -> None:
    """Print the studies that come with the project, and what each claims."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("study", "arms", "claim"):
        table.add_column(column, overflow="fold")
    for study in shipped():
        table.add_row(*map(Text, (study.name, str(len(study.arms)), study.claim)))
    Console().print(table)


def shipped() -> list["Study"]:
    """Return the studies that come with the project."""
    from controlnet.studies.study import Study

    folder = next((place / "studies" for place in PLACES if (place / "studies").is_dir()), None)
    return [] if folder is None else [Study.load(path) for path in sorted(folder.glob("*.yaml"))]


def work(
    named: Sequence[str],
    out: Path,
    seeds: str | None,
    bases: Sequence[str],
    changes: Sequence[str],
    report: bool,
    write: Path | None,
    device: str,
) -> None:
    """Do what is lacking, unless only a report is asked for, and tell what there is."""
    from controlnet.studies.study import Study

    if not named:
        raise SettingError("got no study; name one of those that `controlnet study --list` tells, or a file")
    # Read and refused before the heavy libraries are imported.
    files = [path_of(name) for name in named]
    studies = [Study.load(path) for path in files]
    wanted, given = _seeds(seeds), dict(map(_base, bases))

    from controlnet.cli._loading import device_of
    from controlnet.cli._memory import keep_freed_memory
    from controlnet.cli._progress import progress
    from controlnet.studies.document import tell, write_into
    from controlnet.studies.outcome import Outcome
    from controlnet.studies.places import Places
    from controlnet.studies.work import Work
    from controlnet.training.trackers import ProgressBar

    keep_freed_memory()
    with ProgressBar() as bar:
        working = Work(Places(out), given, changes, device_of(device), bar, progress)
        if not report:
            for piece in working.run(studies, wanted):
                tell(Outcome.of(piece.study, working, wanted), working.places)
    for name, study in zip(named, studies, strict=True):
        outcome = Outcome.of(study, working, wanted)
        typer.echo(f"{study.title}: {study.claim}\n\n{tell(outcome, working.places)}")
        if write is not None:
            wants = "".join(f" --base {base}=FOLDER" for base in study.bases)
            write_into(write, outcome, f"controlnet study {name}{wants}")


def path_of(name: str) -> Path:
    """Return the file of a study that is named, or given by its path."""
    return Path(name) if name.endswith((".yaml", ".yml")) else shipped_plan(f"studies/{name}")


def _seeds(text: str | None) -> list[int] | None:
    try:
        found = None if text is None else [int(seed) for seed in text.split(",")]
    except ValueError as error:
        raise SettingError(f"got the seeds {text!r}; wanted numbers with commas between: 0,1,2") from error
    if found is not None and (min(found) < 0 or len(set(found)) < len(found)):
        raise SettingError(f"got the seeds {text!r}; wanted different numbers from 0")
    return found


def _base(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not (name and equals and folder):
        raise SettingError(f"got --base {text!r}; wanted NAME=FOLDER")
    return name, folder
