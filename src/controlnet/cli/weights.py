"""`controlnet weights`: the weight files of the learned conditions: which there are, fetched, converted."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from controlnet.errors import SettingError, UnknownName

if TYPE_CHECKING:
    from controlnet.conditions._weights import Weights

EXAMPLES = """\
Examples:

  controlnet weights list
  controlnet weights fetch ControlNetHED.pth         (a file)
  controlnet weights fetch depth_midas openpose      (all that conditions need)
  controlnet weights convert ControlNetHED.pth       (to safetensors)

Files are looked for in the folder $CONTROLNET_WEIGHTS (by default
~/.cache/controlnet/annotators), then in the hub's cache. Nothing is
fetched but by this command.
"""


def register(app: typer.Typer) -> None:
    """Add `weights` and its commands to the command line."""
    group = typer.Typer(
        name="weights",
        help="List, fetch and convert the weight files of learned conditions.",
        epilog=EXAMPLES,
        no_args_is_help=True,
    )
    group.command("list")(listed)
    group.command("fetch")(fetch)
    group.command("convert")(convert)
    app.add_typer(group)


def listed(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List every weight file: its size, licence, who needs it, and whether it is on this machine."""
    from controlnet.cli._annotate.needs import found_at, needs, used_by

    known = needs()
    if as_json:
        told = {
            name: {
                "repo": one.repo,
                "file": one.file,
                "megabytes": one.megabytes,
                "licence": one.licence,
                "sha256": one.sha256,
                "conditions": used_by(name),
                "path": (path := found_at(one)) and str(path),
            }
            for name, one in known.items()
        }
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from controlnet.conditions._weights import weights_folder

    table = Table(box=None, pad_edge=False)
    for column in ("file", "MB", "licence", "needed by", "here"):
        table.add_column(column, overflow="fold")
    for name, one in known.items():
        row = (name, f"{one.megabytes:g}", one.licence, ", ".join(used_by(name)))
        table.add_row(*map(Text, (*row, "yes" if found_at(one) else "no")))  # licences are no markup
    Console().print(table)
    typer.echo(f"your own files belong into {weights_folder()}")


def fetch(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="Weight files, or conditions that need them.")
    ],
    again: Annotated[
        bool, typer.Option("--again", help="Fetch and check also what is on this machine already.")
    ] = False,
) -> None:
    """Fetch weight files from the Hugging Face hub into its cache, and check their checksums."""
    from controlnet.cli._annotate.needs import found_at, wanted

    for one in wanted(names):
        source = f"{one.repo}/{one.file}" if one.file else one.repo
        typer.echo(f"{one.name}: {one.megabytes:g} MB, licence: {one.licence}, from {source}")
        if not again and (path := found_at(one)):
            typer.echo(f"{one.name}: is here, at {path}")
            continue
        path = one.fetch()
        checked = "checksum right" if one.sha256 else "its checksum is not known"
        typer.echo(f"{one.name}: is at {path} ({checked if one.file else 'checked by the hub'})")


def convert(
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="A weight file, or the name of a listed one.")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The new file; if not given beside the old one, or among your own."),
    ] = None,
) -> None:
    """Convert a weight file (a pickle of tensors) to safetensors, which cannot hold code."""
    path, place = _given(source)
    _refuse_onnx(path.name)
    target = out or place
    if path.suffix == ".safetensors":
        raise SettingError(f"{path} is safetensors already; wanted a .pth, .pt or .ckpt file")
    if target.suffix != ".safetensors":
        raise SettingError(f"--out {target} has another suffix; wanted NAME.safetensors")

    from safetensors.torch import save_file

    from controlnet.conditions._networks.load import tensors
    from controlnet.files import whole

    found = tensors(path)
    with whole(target) as part:
        save_file({name: tensor.clone().contiguous() for name, tensor in found.items()}, part)
    typer.echo(f"{target}: {len(found)} tensors of {path.name}")


def _given(source: str) -> tuple[Path, Path]:
    """Return the file that a path or a listed name means, and where its conversion goes."""
    from controlnet.cli._annotate.needs import wanted
    from controlnet.conditions._weights import weights_folder

    path = Path(source)
    if path.is_file():
        return path, path.with_suffix(".safetensors")
    try:
        found = wanted([source])
    except UnknownName as error:
        raise SettingError(f"there is no file {source}, and {error}") from error
    if len(found) != 1 or found[0].file is None:
        raise SettingError(f"{source} means {len(found)} weight files, or a folder; wanted one .pth file")
    _refuse_onnx(found[0].name)
    return _as_published(found[0]), (weights_folder() / found[0].name).with_suffix(".safetensors")


def _refuse_onnx(name: str) -> None:
    if name.endswith(".onnx"):
        raise SettingError(
            f"{name} is a whole network in ONNX's format, no pickle of tensors, and is used as it is; wanted "
            "a .pth, .pt or .ckpt file: leave it"
        )


def _as_published(weights: "Weights") -> Path:
    """Return the file, not its conversion."""
    from controlnet.conditions._weights import weights_folder

    own = weights_folder() / weights.name
    return own if own.is_file() else weights.find()
