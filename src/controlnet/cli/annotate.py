"""`controlnet annotate`: pictures into control maps, one or whole folders."""

import glob
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlnet.cli._progress import progress
from controlnet.errors import DataError, SettingError
from controlnet.files import whole

if TYPE_CHECKING:
    from controlnet.conditions._base import Condition

EXAMPLES = """\
Examples:

  controlnet annotate canny photo.jpg --out map.png
  controlnet annotate "canny(low=50, high=120)" photo.jpg --out map.png
  controlnet annotate canny photos/ --out maps/      (with its subfolders)
  controlnet annotate canny "photos/*.jpg" --out maps/
  controlnet annotate --list

A map has its picture's size. In a folder, what cannot be read is skipped
and reported, and the exit status is 1.
"""

PICTURES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# How a map is saved, by its suffix: without loss where the format can.
MAPS: dict[str, dict[str, Any]] = {
    ".png": {},
    ".webp": {"lossless": True},
    ".bmp": {},
    ".tif": {},
    ".tiff": {},
    ".jpg": {"quality": 100},
    ".jpeg": {"quality": 100},
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def annotate(
        condition: Annotated[
            str, typer.Argument(help='Condition, such as canny or "canny(low=50)".', show_default=False)
        ] = "",
        pictures: Annotated[
            list[str] | None, typer.Argument(help="Pictures, folders or glob patterns.", show_default=False)
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option("--out", "-o", help="The map's file, or a folder for many.", show_default=False),
        ] = None,
        listed: Annotated[
            bool, typer.Option("--list", help="List the conditions and their settings.")
        ] = False,
    ) -> None:
        """Turn pictures into control maps."""
        if listed:
            typer.echo(describe_all())
            return
        if not condition:
            raise SettingError(
                "no condition given; name one, such as canny (`controlnet annotate --list` shows all)"
            )
        if not pictures:
            raise SettingError(
                "no picture given; name a picture, a folder or a glob pattern after the condition"
            )
        if out is None:
            raise SettingError(
                "no place for the map given; add --out map.png, or --out FOLDER for many pictures"
            )

        from controlnet.conditions import condition as make

        detector = make(condition)
        plan = targets(pictures, out)
        skipped = annotate_all(detector, plan)
        for path, reason in skipped.items():
            typer.echo(f"skipped {path}: {reason}", err=True)
        if len(plan) == 1 and not skipped:
            typer.echo(f"{detector} of {next(iter(plan))} is in {next(iter(plan.values()))}")
            return
        typer.echo(f"{len(plan) - len(skipped)} of {len(plan)} maps ({detector}) are in {out}")
        if skipped:
            raise typer.Exit(1)


def targets(pictures: list[str], out: Path) -> dict[Path, Path]:
    """Return where the map of each picture goes: `out`, or a file in it that keeps the picture's place.

    A folder's pictures keep their subfolders. Two pictures that differ only in their suffix keep it within
    the map's name. Raises SettingError for places that cannot be, and DataError where there is no picture.
    """
    found = list(dict.fromkeys(pair for text in pictures for pair in _found(text)))
    many = len(found) > 1 or any(glob.has_magic(text) or Path(text).is_dir() for text in pictures)
    if not many and out.suffix and not out.is_dir():
        if out.suffix.lower() not in MAPS:
            raise SettingError(
                f"--out {out} has no known suffix; wanted one of {', '.join(MAPS)}, or a folder"
            )
        plan = {found[0][0]: out}
    else:
        if out.exists() and not out.is_dir():
            raise SettingError(
                f"--out {out} is a file; wanted a folder for the maps of {len(found)} pictures"
            )
        stems = Counter(place.with_suffix("") for _, place in found)
        plan = {
            path: out / (place.with_suffix(".png") if stems[place.with_suffix("")] == 1 else f"{place}.png")
            for path, place in found
        }
    own = {path.resolve() for path in plan}
    for target in plan.values():
        if target.resolve() in own:
            raise SettingError(f"the map would overwrite the picture {target}; choose another --out")
    if len(set(plan.values())) < len(plan):
        raise SettingError("two of the pictures have the same name; annotate their folders one by one")
    return plan


def _found(text: str) -> list[tuple[Path, Path]]:
    """Return the pictures that an argument means, each with its place relative to the output folder."""
    path = Path(text)
    if path.is_dir():
        inside = [
            file for file in sorted(path.rglob("*")) if _is_picture(file.relative_to(path)) and file.is_file()
        ]
        found = [(file, file.relative_to(path)) for file in inside]
    elif path.exists() or not glob.has_magic(text):
        found = [(path, Path(path.name))]
    else:
        matches = map(Path, sorted(glob.glob(text, recursive=True)))
        found = [
            (file, Path(file.name)) for file in matches if _is_picture(Path(file.name)) and file.is_file()
        ]
    if not found:
        raise DataError(
            f"no picture in {text}; wanted files with one of the suffixes {' '.join(sorted(PICTURES))}"
        )
    return found


def _is_picture(place: Path) -> bool:
    return place.suffix.lower() in PICTURES and not any(part.startswith(".") for part in place.parts)


def annotate_all(detector: "Condition", plan: dict[Path, Path]) -> dict[Path, str]:
    """Write the map of every picture; return why some were skipped. A lone picture's error is raised."""
    skipped: dict[Path, str] = {}
    with progress("annotating", len(plan), "pictures") as advance:
        for path, target in plan.items():
            try:
                _annotate_one(detector, path, target)
            except DataError as error:
                if len(plan) == 1:
                    raise
                skipped[path] = str(error)
            advance(1)
    return skipped


def _annotate_one(detector: "Condition", path: Path, target: Path) -> None:
    from controlnet.conditions import annotate

    result = annotate(detector, path)
    with whole(target) as part:
        result.save(part, **MAPS[target.suffix.lower()])


def describe_all() -> str:
    """Return all conditions with their titles and settings, for a person to read."""
    from controlnet import registry
    from controlnet.conditions import conditions

    return "\n".join(_describe(name, registry.find("conditions", name)) for name in conditions())


def _describe(name: str, kind: "type[Condition]") -> str:
    lines = [f"{name}: {kind.title}"]
    for field, facts in kind.model_json_schema()["properties"].items():
        number = next((option for option in facts.get("anyOf", [facts]) if "minimum" in option), {})
        bounds = f", {number['minimum']} to {number['maximum']}" if number else ""
        lines.append(f"  {field} = {facts.get('default')}{bounds}: {facts.get('description', '')}")
    return "\n".join(lines)
