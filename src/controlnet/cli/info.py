"""`controlnet info`: what a checkpoint is, told without loading it; or how a picture was made."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

EXAMPLES = """\
Examples:

  controlnet info net.safetensors
  controlnet info folder/            (a diffusers folder)
  controlnet info canny              (a ControlNet that comes with the package)
  controlnet info control.pth        (any known layout: docs/formats.md)
  controlnet info model.ckpt         (a whole base in one file)
  controlnet info out.png            (a picture: the settings that made it)
  controlnet info net.safetensors --json
"""

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def info(
        source: Annotated[str, typer.Argument(metavar="FILE", help="File, folder or shipped name.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Say what a checkpoint is and how it was made, or with which settings a picture was."""
        if source.lower().endswith(PICTURES):
            from controlnet.cli._again import rows

            made = rows(Path(source))
            if as_json:
                typer.echo(json.dumps(dict(made), indent=2, ensure_ascii=False))
            else:
                _show(made)
            return
        from controlnet.checkpoints import describe
        from controlnet.checkpoints.shipped import locate

        told = describe(locate(source))
        if as_json:
            typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        else:
            _show(_rows(told))


def _show(rows: list[tuple[str, str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(escape(name), escape(value))
    Console(soft_wrap=False).print(table)


def _rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of the table; the base's configuration, a page long, is left to --json."""
    if told["format"] == "base":
        return _rows_of_base(told)
    if told["format"] == "decoder":
        return _rows_of_decoder(told)
    base = told["base"]
    name = base.get("name") or "not recorded"
    rows = [
        *_general(told),
        ("trained", "yes" if told["trained"] else "no: every zero convolution is still zero"),
        *_health(told),
        ("backbone", told["backbone"]),
        ("base", f"{name} ({base['fingerprint']})" if base.get("fingerprint") else name),
    ]
    if base.get("decoder"):
        rows.append(("decoder", f"trained along ({base['decoder']}): keep its file beside this one"))
    rows += [(key, str(told[key])) for key in ("rank", "channel_order") if key in told]
    for part in ("settings", "metadata"):
        rows += [(key, value) for key, value in _flat(told[part])]
    return rows


def _general(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("file", Path(told["path"]).name),
        ("format", f"{told['format']}: {told['title']}"),
        ("size", f"{told['bytes'] / 2**20:.1f} MiB, {told['parameters']:,} parameters"),
        ("precision", ", ".join(told["precision"])),
        ("family", told["family"]),
    ]


def _rows_of_base(told: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [*_general(told), ("predicts", told["prediction_type"])]
    for name, part in told["parts"].items():
        what = f"{part['parameters']:,} parameters, {', '.join(part['precision'])}" if part else "missing"
        rows.append((name, what))
    if told["ema"]:
        rows.append(("average", "of the weights is there, too: load_base(…, ema=True)"))
    return rows


def _rows_of_decoder(told: dict[str, Any]) -> list[tuple[str, str]]:
    base = told["base"]
    return [
        *_general(told | {"family": f"of the base {base['name']} ({base['fingerprint']})"}),
        ("fingerprint", told["fingerprint"]),
        *_flat(told["metadata"]),
    ]


def _health(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines that only an ailing or an incomplete ControlNet has."""
    rows: list[tuple[str, str]] = []
    if told["needs_base"]:
        rows.append(("needs", "its base: only what differs from it is in the file"))
    if told["dead_taps"]:
        rows.append(("dead taps", f"{', '.join(told['dead_taps'])}: still zero, without effect"))
    if told["not_finite"]:
        names = told["not_finite"]
        more = f" and {len(names) - 4} more" if len(names) > 4 else ""
        rows.append(("broken", f"NaN or infinity in {', '.join(names[:4])}{more}"))
    return rows


def _flat(values: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Spread nested values over dotted names: {"plan": {"lr": 1}} → plan.lr 1."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{before}{key}.")
        else:
            rows.append((f"{before}{key}", value if isinstance(value, str) else json.dumps(value)))
    return rows
