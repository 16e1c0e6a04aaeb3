"""`controlnet evaluate`: is the control obeyed, is the picture good, is the prompt heard?"""

from pathlib import Path
from typing import Annotated

import typer

from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet evaluate canny                                     the shipped one, on 24 scenes
  controlnet evaluate canny openpose --count 48 --prompts none,insufficient,conflicting,perfect
  controlnet evaluate runs/mine/controlnet.safetensors --seeds 4 --out reports/mine
  controlnet evaluate mine=a.safetensors other=b.safetensors --condition canny
  controlnet evaluate NET --base BASE --data sets/canny --metric edge_f1 --metric fid
  controlnet evaluate --pictures other=their/pictures --data sets/canny --condition canny
  controlnet evaluate NET --suite controlnetpp_canny --base BASE --data MultiGen
  torchrun --nproc-per-node 8 -m controlnet evaluate NET --base BASE --data sets/canny
  controlnet evaluate --list

Writes results.json, report.md, index.html and pictures/ into --out. The same command goes on after a stop:
pictures that are there are not made again, and more examples, prompts, metrics or ControlNets may be asked
for. Beside what is evaluated stand the base by its prompt alone, and the ceiling: the true pictures through
the autoencoder and back. Guidance and mode are those of the ControlNet's own training, if its file tells.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def evaluate(
        context: typer.Context,
        nets: Annotated[
            list[str] | None,
            typer.Argument(
                help="ControlNets: files, folders, hub ids, shipped names; or NAME=SOURCE.", metavar="[NET]…"
            ),
        ] = None,
        base: Annotated[str, typer.Option(help='"shapes", a folder, one file, or a hub id.')] = "shapes",
        data: Annotated[str, typer.Option(help='"shapes", or a data set\'s folder.')] = "shapes",
        condition: Annotated[
            str | None, typer.Option(help='What the maps are, such as "canny(low=50)"; if no file tells.')
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option("--out", "-o", help="Folder; reports/NET if not given.", show_default=False),
        ] = None,
        count: Annotated[int, typer.Option(min=1, help="Examples, the first ones of the data set.")] = 24,
        prompts: Annotated[
            str, typer.Option(help="Of none, insufficient, conflicting, perfect; with commas between.")
        ] = "perfect",
        seeds: Annotated[int, typer.Option(min=1, help="Pictures of each example.")] = 1,
        metric: Annotated[
            list[str] | None, typer.Option(help="A metric, such as edge_f1; may be repeated; else the usual.")
        ] = None,
        pictures: Annotated[
            list[str] | None,
            typer.Option(
                help="NAME=FOLDER of pictures from elsewhere, in the data set's order; may be repeated."
            ),
        ] = None,
        suite: Annotated[str | None, typer.Option(help="A ready suite (--list), or a YAML file.")] = None,
        baselines: Annotated[
            bool, typer.Option("--baselines/--no-baselines", help="Prompt alone, and ceiling.")
        ] = True,
        mode: Annotated[str | None, typer.Option(help="balanced, prompt, control or unbalanced.")] = None,
        guidance: Annotated[float | None, typer.Option(help="Guidance scale.", min=0.0)] = None,
        steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
        sampler: Annotated[str, typer.Option(help="As for `controlnet sample`.")] = "dpm++2m",
        negative: Annotated[str, typer.Option(help="Negative prompt; told in the report.")] = "",
        size: Annotated[int | None, typer.Option(help="Side in pixels; else the base's.", min=16)] = None,
        seed: Annotated[int, typer.Option(help="Example k has the first noise of seed + k.", min=0)] = 0,
        batch: Annotated[int, typer.Option(help="Pictures sampled together.", min=1)] = 8,
        sheet: Annotated[
            Path | None,
            typer.Option(help="Draw all conditions side by side into this PNG.", show_default=False),
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
        listed: Annotated[bool, typer.Option("--list", help="List metrics and suites, and leave.")] = False,
    ) -> None:
        """Measure ControlNets on a data set, beside baselines; into JSON, Markdown and a page."""
        from controlnet.cli._evaluate import listing, working

        if listed:
            listing.show()
            return
        if not nets and not pictures:
            raise SettingError(
                "got nothing to evaluate; name a ControlNet, such as canny, or give --pictures"
            )
        given = {
            name
            for name in context.params
            if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
        }
        asked = working.Asked(
            nets=nets or [],
            base=base,
            data=data,
            condition=condition,
            out=out,
            count=count,
            prompts=[name.strip() for name in prompts.split(",") if name.strip()],
            seeds=seeds,
            metrics=metric,
            pictures=pictures or [],
            baselines=baselines,
            mode=mode,
            guidance=guidance,
            steps=steps,
            sampler=sampler,
            negative=negative,
            size=size,
            seed=seed,
            batch=batch,
            device=device,
        )
        for line in working.run(asked, suite, given, sheet):
            typer.echo(line)
