"""`controlnet shapes`: how the embedded world's weights are made, from nothing, in resumable pieces."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from controlnet.cli._progress import progress
from controlnet.errors import SettingError

if TYPE_CHECKING:
    from controlnet.cli._shapes.world import World
    from controlnet.shapes.recipe.fit import Schedule

EXAMPLES = """\
In this order; each goes on where it was stopped:

  controlnet shapes corpus --out world              render the scenes
  controlnet shapes autoencoder --out world         pixels to latents and back
  controlnet shapes base --out world                captions to latents
  controlnet shapes judge --out world               pictures back to what they show
  controlnet shapes export --out world              what is complete, in half precision, into the package
  controlnet shapes controlnet canny --out world    after plans/shapes_canny.yaml
  controlnet shapes export --out world
  controlnet shapes measure                         quality on scenes that nobody has seen
  controlnet shapes card --out world                the model card, from logs and measurements

The package comes with the outcome: nobody needs these commands to use it.
"""

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder in which the world is made.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Training steps; the recipe's if not given.")]
Scenes = Annotated[
    int | None, typer.Option(min=1, help="Scenes of the corpus to train on; the recipe's if not given.")
]
To = Annotated[
    Path | None, typer.Option(help="Folder of weights; that of the package if not given.", show_default=False)
]
WORLD = Path("world")


class _Recipe(Protocol):
    """A module of `controlnet.shapes.recipe`."""

    SCENES: int
    SCHEDULE: "Schedule"

    @staticmethod
    def train(corpus: Path, out: Path, scenes: int, schedule: "Schedule") -> Iterator[dict[str, float]]:
        """Train and save, giving the log of each step."""
        ...


def register(app: typer.Typer) -> None:
    """Add `shapes` and its commands to the command line."""
    group = typer.Typer(
        name="shapes", help="Make the embedded world's weights.", epilog=EXAMPLES, no_args_is_help=True
    )
    for command in (corpus, autoencoder, base, judge, controlnet, export, measure, card):
        group.command(command.__name__)(command)
    app.add_typer(group)


def corpus(
    out: Out = WORLD,
    count: Annotated[int, typer.Option(min=1, help="Scenes, in chunks of 500.")] = 16000,
    seed: Annotated[int, typer.Option(min=0, help="Which of the endless worlds; 1 trains, 2 measures.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 2,
) -> None:
    """Render the scenes that autoencoder, base and judge are trained on."""
    from controlnet.shapes.corpus import CHUNK, write_corpus

    folder = _world(out).corpus
    there = len(list(folder.glob("*.npz"))) * CHUNK
    with progress("rendering", max(0, count - there), "scenes") as advance:
        for done in write_corpus(folder, seed, count, workers):
            advance(done - there)
            there = done
    typer.echo(f"{folder} holds at least {count} scenes of world {seed}")


def autoencoder(out: Out = WORLD, steps: Steps = None, scenes: Scenes = None) -> None:
    """Train the autoencoder."""
    from controlnet.shapes.recipe import autoencoder as recipe

    _fit(recipe, "autoencoder", _world(out), _world(out).model, steps, scenes)


def base(out: Out = WORLD, steps: Steps = None, scenes: Scenes = None) -> None:
    """Train U-Net and text encoder on the autoencoder's latents."""
    from controlnet.shapes.recipe import base as recipe

    world = _world(out)
    world.wants(world.model / "vae", "autoencoder")
    _fit(recipe, "base", world, world.model, steps, scenes)


def judge(out: Out = WORLD, steps: Steps = None, scenes: Scenes = None) -> None:
    """Train and measure the judge."""
    from controlnet.shapes.recipe import judge as recipe

    _fit(recipe, "judge", _world(out), _world(out).judge, steps, scenes)


def controlnet(
    plan: Annotated[str, typer.Argument(help="canny, openpose, or a plan's file.", show_default=False)],
    out: Out = WORLD,
    override: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a key of the plan; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Train a ControlNet for the embedded base, by the ordinary trainer."""
    from controlnet.cli._memory import keep_freed_memory
    from controlnet.cli._plans import shipped_plan
    from controlnet.training import TrainingPlan, train
    from controlnet.training.trackers import ProgressBar

    path = Path(plan) if plan.endswith((".yaml", ".yml")) else shipped_plan(f"shapes_{plan}")
    name = path.stem.removeprefix("shapes_")
    folder = _world(out).controlnet(name)
    read = TrainingPlan.load(path, [*(override or ()), f"out={json.dumps(str(folder))}"])
    keep_freed_memory()
    with ProgressBar() as bar:
        result = train(read, resume=(folder / "state").is_dir(), on_event=bar)
    typer.echo(f"{result.weights}: control arrived at step {result.arrived_at}, adherence {result.adherence}")


def export(out: Out = WORLD, to: To = None) -> None:
    """Write what is complete in half precision into the folder of weights."""
    from controlnet.cli._shapes.export import export as bring

    weights = _weights(to)
    for told in bring(_world(out), weights):
        typer.echo(told)
    typer.echo(f"{weights.size / 1e6:.1f} MB of weights in {weights.root}")


def measure(
    to: To = None,
    scenes: Annotated[int, typer.Option(min=2, help="Held-out scenes.")] = 64,
    part: Annotated[
        list[str] | None,
        typer.Option(help="autoencoder, base, or a ControlNet; all if not given; may be repeated."),
    ] = None,
) -> None:
    """Measure the quality of the weights, and write quality.json beside them."""
    from controlnet.cli._shapes.measure import SCORES, sampled
    from controlnet.cli._shapes.measure import measure as take
    from controlnet.nearest import unknown

    weights = _weights(to)
    known = ("autoencoder", "base", *(name for name in weights.controlnets if name in SCORES))
    for name in part or ():
        if name not in known:
            raise SettingError(unknown("part", name, known))
    parts = set(part or known)
    with progress("sampling", sampled(weights, scenes, parts), "pictures") as advance:
        take(weights, scenes, parts, typer.echo, advance)
    typer.echo(f"{weights.quality}")


def card(out: Out = WORLD, to: To = None) -> None:
    """Write the model card beside the weights, from logs and measurements."""
    from controlnet.cli._shapes.card import write_card

    weights = _weights(to)
    write_card(_world(out), weights)
    typer.echo(f"{weights.card}")


def _fit(recipe: Any, name: str, world: "World", target: Path, steps: int | None, scenes: int | None) -> None:
    module: _Recipe = recipe
    world.wants(world.corpus, "corpus")
    schedule = module.SCHEDULE if steps is None else replace(module.SCHEDULE, steps=steps)
    run = module.train(world.corpus, target, scenes or module.SCENES, schedule)
    done, last = 0, {}
    with progress(name, schedule.steps, "steps") as advance:
        for last in run:
            advance(int(last["step"]) - done)
            done = int(last["step"])
    told = ", ".join(
        f"{key} {value:.4f}" for key, value in last.items() if key not in ("step", "rate", "grad_norm")
    )
    typer.echo(f"{target}: {name} after {schedule.steps} steps{': ' + told if told else ''}")


def _world(root: Path) -> "World":
    from controlnet.cli._shapes.world import World

    return World(root)


def _weights(root: Path | None) -> Any:
    from controlnet.cli._shapes.world import PACKAGED, Weights

    return Weights(root or PACKAGED)
