"""`controlnet train`: a plan into a trained ControlNet; stopped at any moment, it goes on exactly."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controlnet.training import TrainingPlan, TrainingResult

EXAMPLES = """\
Examples:

  controlnet train plans/demo.yaml
  controlnet train plans/circles.yaml --set optim.lr=1e-4 --set steps=500 --out runs/try
  controlnet train runs/try/plan.yaml --resume
  controlnet train runs/try/plan.yaml --resume --set steps=2000      (go on for longer)
  controlnet train plans/sd15_canny.yaml --estimate --set engine.memory=24      (on a GPU of 24 GB?)
  controlnet train plans/demo.yaml --set control.start_from=runs/try --out runs/on    (go on from another run)
  torchrun --nproc-per-node 2 -m controlnet train plans/sd15_canny.yaml

The run's folder holds plan.yaml, metrics.jsonl, timing.jsonl, state/, previews/ and, at the end,
controlnet.safetensors and result.json; decoder.safetensors, too, where a phase of the plan has unlocked
the base's decoder. Ctrl-C and SIGTERM end it after the step in work, with the
state saved, and status 1: --resume goes on. So it does after a crash or a power cut.

Exit status: 0 trained, 1 stopped or failed, 2 a mistake in the plan, the data or the options.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def train(
        plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.", show_default=False)],
        override: Annotated[
            list[str] | None,
            typer.Option(
                "--set", help="Change a key of the plan: optim.lr=1e-5; may be repeated.", metavar="KEY=VALUE"
            ),
        ] = None,
        resume: Annotated[
            bool, typer.Option("--resume", help="Go on from the newest state of the run.")
        ] = False,
        out: Annotated[
            Path | None,
            typer.Option(
                "--out", "-o", help="Folder of the run; runs/NAME if not given.", show_default=False
            ),
        ] = None,
        estimate: Annotated[
            bool, typer.Option("--estimate", help="Only say how much memory the plan needs, and end.")
        ] = False,
    ) -> None:
        """Train a ControlNet as a plan says."""
        from controlnet.training.plan import TrainingPlan

        # Read and refused before the heavy libraries are imported.
        read = TrainingPlan.load(
            plan, [*(override or ()), *([] if out is None else [f"out={json.dumps(str(out))}"])]
        )

        if estimate:
            return _estimate(read)

        from controlnet.cli._memory import keep_freed_memory
        from controlnet.training.trackers import ProgressBar
        from controlnet.training.trainer import train

        keep_freed_memory()
        with ProgressBar() as bar:
            result = train(read, resume, on_event=bar, weighs=True)
        typer.echo(_summary(result))


def _estimate(plan: "TrainingPlan") -> None:
    from controlnet.backbones import load_base
    from controlnet.training.room import planned_for, weigh

    world = int(os.environ.get("WORLD_SIZE", "1"))
    typer.echo("\n".join(weigh(plan, load_base(plan.base), planned_for(plan), world).lines()))


def _summary(result: "TrainingResult") -> str:
    """Say what came of a run, in one line each."""
    lines = [f"{result.weights}: {result.steps} steps in {result.seconds:.0f} s"]
    if result.gain is not None:
        lines.append(
            f"control gain {result.gain:+.5f} ± {result.gain_error:.5f}, of a loss {result.held_out_loss:.5f}"
        )
    if result.adherence is not None:
        lines.append(f"adherence {result.adherence:.3f}, of the base alone {result.adherence_of_base:.3f}")
    if result.arrived_at is not None:
        lines.append(f"control arrived at step {result.arrived_at}")
    elif result.gain is not None:
        lines.append("control has not arrived: train for longer, or with a larger learning rate")
    return "\n".join(lines)
