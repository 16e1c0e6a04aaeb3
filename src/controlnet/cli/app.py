"""The typer application: its commands, its global options, and `main`, where every error ends."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer

from controlnet import __version__
from controlnet.cli import (
    _logs,
    annotate,
    convert,
    dataset,
    demo,
    evaluate,
    frames,
    gallery,
    info,
    sample,
    serve,
    shapes,
    study,
    train,
    upscale,
    weights,
)
from controlnet.cli._errors import guarded

EXAMPLES = """\
Start here:

  controlnet demo
  controlnet annotate canny photo.jpg --out map.png
  controlnet sample "a red cube" --control NET=map.png --out out.png
  controlnet train plans/demo.yaml

Each command has its own --help, with examples. Exit status: 0 done, 1 the
work failed, 2 a mistake of yours (one line says how to mend it).
"""

app = typer.Typer(
    name="controlnet",
    help="Spatial control for text-to-image diffusion: a locked base, a trained copy, zero convolutions.",
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Session:
    """What the global options say to the code around the commands."""

    debug: bool = bool(os.environ.get("CONTROLNET_DEBUG"))


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error.", envvar="CONTROLNET_DEBUG")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show everything that the library logs.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings and errors only.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before the command."""
    context.ensure_object(Session).debug = debug
    _logs.configure(verbose, quiet)


for _command in (
    *(demo, sample, upscale, frames, annotate, gallery, serve),
    *(dataset, train, evaluate, study, info, convert, weights, shapes),
):
    _command.register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command (`sys.argv` unless given) and return its exit status; see `controlnet.cli._errors`."""
    session = Session()
    given = list(sys.argv[1:] if arguments is None else arguments)
    return guarded(
        lambda: app(given, prog_name="controlnet", standalone_mode=False, obj=session), lambda: session.debug
    )
