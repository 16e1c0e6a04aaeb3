"""`controlnet demo`: the whole story on the embedded base, in minutes, on a CPU."""

import json
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controlnet.cli._demo.folder import Folder
    from controlnet.cli._demo.page import Findings
    from controlnet.training.plan import TrainingPlan

EXAMPLES = """\
Examples:

  controlnet demo
  controlnet demo --out runs/demo --seed 1
  controlnet demo --steps 2000 --scenes 4000       (longer, and better)
  controlnet demo --set optim.lr=1e-4 --out try    (any key of plans/demo.yaml)

Renders a small data set, trains a ControlNet on canny edges from nothing, measures on held-out scenes how far
it obeys, and compares it with the base alone, with the shipped ControlNet and with the ceiling. The folder
then holds index.html, sheet.png, curve.png, shipped.png, metrics.json, data/ and training/.

Ctrl-C stops it cleanly. The same command goes on with an unfinished demo, and begins a finished one anew; a
demo of other settings is only replaced with --fresh.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def demo(
        out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the demo.")] = Path("demo"),
        seed: Annotated[
            int, typer.Option(help="Seed of scenes, weights, noise: another one, another demo.", min=0)
        ] = 0,
        steps: Annotated[
            int | None, typer.Option(help="Training steps; the plan's if not given.", min=1)
        ] = None,
        scenes: Annotated[
            int | None, typer.Option(help="Training scenes; the plan's if not given.", min=1)
        ] = None,
        override: Annotated[
            list[str] | None,
            typer.Option(
                "--set", help="Change a key of plans/demo.yaml; may be repeated.", metavar="KEY=VALUE"
            ),
        ] = None,
        fresh: Annotated[
            bool, typer.Option("--fresh", help="Begin anew, whatever the folder's demo is.")
        ] = False,
    ) -> None:
        """Train a ControlNet from nothing on the embedded base, and show what came of it."""
        from controlnet.cli._demo.folder import enter

        plan, world, count = planned(out, seed, steps, scenes, override or [])
        condition = plan.data.condition or "canny"
        settings = {
            "seed": seed, "steps": plan.steps, "scenes": count, "held_out": plan.data.held_out,
            "world": world, "condition": condition, "set": list(override or []),
        }  # fmt: skip
        folder, goes_on = enter(out, settings, fresh)
        plan = plan.override(
            ["data.condition=null", "data.count=null", f"data.source={json.dumps(str(folder.data))}"]
        )

        from controlnet.cli._demo.story import Demo

        typer.echo(
            f"controlnet demo: seed {seed}, in {out}{', going on where it stopped' if goes_on else ''}"
        )
        logs = logging.getLogger("controlnet")
        if logs.level == logging.INFO:  # the demo says itself what the library would
            logs.setLevel(logging.WARNING)
        command = _again(out, seed, steps, scenes, override or [])
        story = Demo(folder, plan, world, count, settings, command, typer.echo)
        try:
            findings = story.run()
        except (KeyboardInterrupt, SystemExit):
            typer.echo(f"the demo in {out} goes on with: {command}", err=True)
            raise
        _close(folder, findings, story.next_steps())


def planned(
    out: Path, seed: int, steps: int | None, scenes: int | None, override: list[str]
) -> "tuple[TrainingPlan, int, int]":
    """Return the demo's plan, the world that it renders, and how many scenes it trains on.

    With other steps the measurements on the way keep their number, not their distance.
    """
    from controlnet.cli._plans import shipped_plan
    from controlnet.training.plan import TrainingPlan

    plan = TrainingPlan.load(shipped_plan("demo"))
    changes = [f"seed={seed}", f"out={json.dumps(str(out / 'training'))}"]
    if steps is not None:
        watch, save = plan.watch, plan.save
        paced = {
            "watch.gain_every": watch.gain_every, "watch.adherence_every": watch.adherence_every,
            "watch.preview_every": watch.preview_every, "save.every": save.every,
        }  # fmt: skip
        changes += [f"{key}={max(1, every * steps // plan.steps)}" for key, every in paced.items()]
        changes.append(f"steps={steps}")
    plan = plan.override([*changes, *override])
    total = plan.data.count or 0
    return plan, plan.data.seed + seed, total - plan.data.held_out if scenes is None else scenes


def _again(out: Path, seed: int, steps: int | None, scenes: int | None, override: list[str]) -> str:
    """Write the command that goes on with this demo."""
    given = {
        "--out": out if out != Path("demo") else None,
        "--seed": seed or None,
        "--steps": steps,
        "--scenes": scenes,
    }
    words = [word for key, value in given.items() if value is not None for word in (key, str(value))]
    words += [word for text in override for word in ("--set", text)]
    return shlex.join(["controlnet", "demo", *words])


def _close(folder: "Folder", findings: "Findings", next_steps: list[str]) -> None:
    """Say what was found, where to look and what to try next."""
    rows = [("", "edge F1", "of the distance"), *findings.table()]
    typer.echo("")
    for name, value, share in rows:
        typer.echo(f"  {name:<24}{value:>16}{share:>18}")
    seconds = folder.seconds
    told = ", ".join(f"{key} {value:.0f}" for key, value in seconds.items())
    typer.echo(f"\n{sum(seconds.values()):.0f} s: {told}")
    places = [
        folder.sheet,
        folder.curve,
        *([folder.shipped] if folder.shipped.exists() else []),
        folder.metrics,
    ]
    typer.echo(f"\nLook at    {folder.page}   ({', '.join(path.name for path in places)} beside it)")
    typer.echo("Try next")
    for line in next_steps:
        typer.echo(f"  {line}")
