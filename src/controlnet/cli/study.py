"""`controlnet study`: the paper's claims as plans, each tried over seeds and told in tables."""

from pathlib import Path
from typing import Annotated, Final

import typer

EXAMPLES = """\
Examples:

  controlnet study --list                                 what there is, and what each asks
  controlnet study lite hints --out studies
  controlnet study plans/studies/zero.yaml --seeds 0,1
  controlnet study transfer --base earlier=world/model
  controlnet study lite --report --write docs/evidence.md      nothing new; what there is, told

Each arm of a study is an ordinary run under each seed, in OUT/runs, and its evaluation lies in OUT/measured.
Both are named by what decides them, so studies share what is the same, and the same command goes on after a
stop. All arms come under the first seed before any comes under the second. OUT/STUDY holds results.json,
table.md and curves.png; --write puts them into a document, too.
"""


SHARED: Final = Path("studies")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def study(
        studies: Annotated[
            list[str] | None,
            typer.Argument(help="Studies: names that --list tells, or YAML files.", metavar="[STUDY]…"),
        ] = None,
        out: Annotated[Path, typer.Option("--out", "-o", help="Folder that studies share.")] = SHARED,
        seeds: Annotated[
            str | None, typer.Option(help="Seeds, with commas between; else the study's own.")
        ] = None,
        base: Annotated[
            list[str] | None, typer.Option(help="NAME=FOLDER of a base that a study wants; may be repeated.")
        ] = None,
        override: Annotated[
            list[str] | None,
            typer.Option("--set", help="Change a key of all plans; may be repeated.", metavar="KEY=VALUE"),
        ] = None,
        report: Annotated[
            bool, typer.Option("--report", help="Compute nothing, tell what there is.")
        ] = False,
        write: Annotated[
            Path | None, typer.Option(help="Document to put tables and pictures into.", show_default=False)
        ] = None,
        device: Annotated[str, typer.Option(help="Of the measuring: auto, cpu, cuda, mps.")] = "auto",
        listed: Annotated[bool, typer.Option("--list", help="List the studies, and leave.")] = False,
    ) -> None:
        """Try claims over seeds: train and measure what differs, and tell it in tables and curves."""
        from controlnet.cli._study import working

        if listed:
            working.show()
            return
        working.work(studies or [], out, seeds, base or [], override or [], report, write, device)
