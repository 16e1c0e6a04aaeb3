"""`controlnet dataset`: build sets of pictures, generate those of the embedded worlds, look a set over."""

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlnet.cli._dataset import building
from controlnet.cli._progress import progress
from controlnet.errors import DataError

if TYPE_CHECKING:
    from rich.table import Table

    from controlnet.data import CheckReport
    from controlnet.data.builder import Draw

EXAMPLES = """\
Examples:

  controlnet dataset shapes --count 5000 --condition canny --out sets/canny
  controlnet dataset shapes --count 5000 --condition depth --out sets/depth    the renderer's own depth
  controlnet dataset circles --count 1000 --size 128 --out sets/circles
  controlnet dataset build photos/ --condition canny --out sets/photos
  controlnet dataset check sets/canny                         what is in it, what cannot be used

A set that was interrupted is continued by the same command.
"""

Count = Annotated[int, typer.Option(min=1, help="How many examples the set shall hold in the end.")]
Out = Annotated[Path, typer.Option(help="Folder to write to; one that was begun is continued.")]
Seed = Annotated[int, typer.Option(min=0, help="Which of the endless sets.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Processes; by default one for each core.")]


def register(app: typer.Typer) -> None:
    """Add `dataset` and its commands to the command line."""
    group = typer.Typer(
        name="dataset", help="Make and check data sets.", epilog=EXAMPLES, no_args_is_help=True
    )
    group.command("shapes")(shapes)
    group.command("circles")(circles)
    group.command("build", epilog=building.EXAMPLES)(building.build)
    group.command("check")(check)
    app.add_typer(group)


def shapes(
    count: Count,
    out: Out,
    condition: Annotated[str, typer.Option(help='Control map, such as "canny(low=50)" or depth.')] = "canny",
    annotate: Annotated[
        bool, typer.Option("--annotate", help="Annotate depth, normal, segmentation and openpose too.")
    ] = False,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=16, help="Side of the pictures in pixels.")] = 128,
    workers: Workers = None,
) -> None:
    """Render scenes of the embedded world with captions and control maps.

    The maps of depth, normal, segmentation and openpose are the renderer's own, exact ones; others are
    annotated.
    """
    from controlnet.shapes.example import Scenes

    scenes = Scenes(seed, size, condition, annotated=annotate)
    _generate(out, scenes, count, scenes.provenance(), workers)


def circles(
    count: Count,
    out: Out,
    seed: Seed = 0,
    size: Annotated[int, typer.Option(min=16, help="Side of the pictures in pixels.")] = 512,
    workers: Workers = None,
) -> None:
    """Draw discs on grounds with a ring as the control map, after Fill50K."""
    from controlnet.data import Circles

    provenance = {"generator": "circles", "seed": seed, "size": size, "condition": "ring", "label_map": True}
    _generate(out, Circles(seed, size), count, provenance, workers)


def check(
    folder: Annotated[Path, typer.Argument(help="A folder with metadata.jsonl, or with shards (*.tar).")],
    max_bad: Annotated[
        float, typer.Option(min=0, max=1, help="Share of bad examples that is bearable.")
    ] = 0.05,
    quick: Annotated[bool, typer.Option("--quick", help="Read the headers of the pictures only.")] = False,
) -> None:
    """Read every example and report what cannot be used; status 2 when the set is unfit for use."""
    from rich.console import Console

    from controlnet.data import check_dataset
    from controlnet.data.manifest import METADATA, lines

    # How many a shard holds only reading it tells.
    total = sum(1 for _ in lines(folder)) if (folder / METADATA).is_file() else None
    with progress("checking", total, "examples") as advance:
        found = check_dataset(folder, decode=not quick, progress=lambda: advance(1))
    Console().print(_table(found))
    if problem := found.problem(max_bad):
        raise DataError(problem)
    typer.echo(f"{folder} can be used: {found.report.total - found.report.bad} examples")


def _generate(
    out: Path, draw: "Draw", count: int, provenance: Mapping[str, Any], workers: int | None
) -> None:
    from controlnet.data import generate
    from controlnet.data.manifest import lines

    # A process takes a second to start: not worth it for a handful.
    workers = workers or min(os.cpu_count() or 1, 1 + count // 32)
    with closing(generate(out, draw, count, provenance, workers)) as steps:
        done = next(steps)
        try:
            with progress(str(provenance["generator"]), count - done, "examples") as advance:
                while done < count:
                    done = next(steps)
                    advance(1)
        except (KeyboardInterrupt, SystemExit):
            done = sum(1 for _ in lines(out))  # one may have come since it was counted
            typer.echo(f"{out} holds {done} of {count} examples; the same command continues", err=True)
            raise
    typer.echo(f"{out} holds {count} examples (seed {provenance['seed']})")


def _table(found: "CheckReport") -> "Table":
    from rich.table import Table
    from rich.text import Text

    report = found.report
    table = Table(title=str(report.folder), show_header=False)
    rows = [("examples", str(report.total)), ("bad", f"{report.bad} ({report.share:.1%})")]
    for reason, n in report.skipped.most_common():
        shown = report.places[reason]
        rows.append((f"  {reason}", f"{n}: {', '.join(shown)}{' …' if n > len(shown) else ''}"))
    rows += [(f"{w}×{h} px", str(n)) for (h, w), n in found.sizes.most_common(5)]
    rows += [(f"condition {name}", str(n)) for name, n in found.conditions.most_common()]
    rows += [(f"generator {name}", str(n)) for name, n in found.generators.most_common()]
    rows += [("distinct captions", str(found.captions))]
    rows += [("without a stored map", str(found.unstored)), ("maps of one colour", str(found.blank))]
    for row in rows:
        table.add_row(*map(Text, row))  # names of files are no markup
    return table
