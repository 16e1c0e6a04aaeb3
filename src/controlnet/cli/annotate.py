"""`controlnet annotate`: pictures into control maps, one or whole folders."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from controlnet.cli._annotate.places import is_one_file, targets
from controlnet.errors import SettingError
from controlnet.files import whole

if TYPE_CHECKING:
    from controlnet.cli._annotate.batch import Report
    from controlnet.cli._annotate.work import Work
    from controlnet.conditions._image import Fit

EXAMPLES = """\
Examples:

  controlnet annotate canny photo.jpg --out map.png
  controlnet annotate "canny(low=50, high=120)" photo.jpg --out map.png
  controlnet annotate canny photos/ --out maps/      (with its subfolders)
  controlnet annotate canny "photos/*.jpg" --out maps/
  controlnet annotate depth_midas photos/ --out maps/ --pixel-perfect 512x768
  controlnet annotate openpose photo.jpg --out map.png --keypoints
  controlnet annotate openpose pose.json --out map.png
  controlnet annotate --list

A map has its picture's size. In a folder of maps, those that are no older
than their picture and were made in the same way are kept, so the same
command goes on where it was stopped. What cannot be read is skipped and
reported, and the exit status is 1.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def annotate(
        condition: Annotated[
            str, typer.Argument(help='Condition, such as canny or "canny(low=50)".', show_default=False)
        ] = "",
        pictures: Annotated[
            list[str] | None,
            typer.Argument(
                help="Pictures, folders or glob patterns; OpenPose JSON for pose conditions.",
                show_default=False,
            ),
        ] = None,
        out: Annotated[
            Path | None,
            typer.Option("--out", "-o", help="The map's file, or a folder for many.", show_default=False),
        ] = None,
        workers: Annotated[
            int | None,
            typer.Option(
                min=1, max=256, help="Pictures at once; by default one a core, two where a network works."
            ),
        ] = None,
        overwrite: Annotated[
            bool, typer.Option("--overwrite", help="Make maps anew that are there already.")
        ] = False,
        pixel_perfect: Annotated[
            str | None,
            typer.Option(
                metavar="WxH",
                help="Work at the resolution that fits pictures to be generated at this size.",
                show_default=False,
            ),
        ] = None,
        fit: Annotated[
            str, typer.Option(help="How maps will be brought to that size: crop, fill or stretch.")
        ] = "crop",
        keypoints: Annotated[
            bool,
            typer.Option("--keypoints", help="Write the keypoints too, as OpenPose JSON beside the map."),
        ] = False,
        report: Annotated[
            Path | None,
            typer.Option(help="JSON file that tells what became of each picture.", show_default=False),
        ] = None,
        listed: Annotated[
            bool, typer.Option("--list", help="List the conditions and their settings.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="With --list: print one JSON object.")] = False,
    ) -> None:
        """Turn pictures into control maps."""
        if listed:
            _list(as_json)
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

        from controlnet.cli._annotate.batch import Report, annotate_all, default_workers
        from controlnet.cli._annotate.work import Work
        from controlnet.conditions import condition as make

        work = Work(make(condition), _size(pixel_perfect), _fit(fit), keypoints)
        found = Report(targets(pictures, out))
        workers = workers or default_workers(learned=bool(work.detector.weights))
        try:
            # A file that is named outright is always written.
            annotate_all(work, found, workers, overwrite or is_one_file(pictures, out))
        except (KeyboardInterrupt, SystemExit):
            typer.echo(
                f"{found.there} of {len(found.plan)} maps ({work}) are in {out}; the same command continues",
                err=True,
            )
            raise
        finally:
            if report is not None:
                _write(report, work, found)
        _tell(work, found, out)
        if found.skipped:
            raise typer.Exit(1)


def _list(as_json: bool) -> None:
    from controlnet.cli._annotate.listing import described, listed

    typer.echo(json.dumps(described(), indent=2, ensure_ascii=False) if as_json else listed())


def _tell(work: "Work", found: "Report", out: Path) -> None:
    for path, reason in found.skipped.items():
        typer.echo(f"skipped {path}: {' '.join(reason.split())}", err=True)
    total = len(found.plan)
    if total == 1 and found.made:
        (target,) = found.plan.values()
        typer.echo(f"{work} of {found.made[0]} is in {target}")
        return
    kept = f"; {len(found.kept)} of them were there already" if found.kept else ""
    typer.echo(f"{found.there} of {total} maps ({work}) are in {out}{kept}")


def _write(path: Path, work: "Work", found: "Report") -> None:
    settings = work.detector.model_dump(mode="json")
    told = {"condition": str(work), "name": work.detector.name(), "settings": settings, **found.values()}
    with whole(path) as part:
        part.write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})\s*[xX×]\s*([1-9]\d{0,4})", text.strip())
    if match is None:
        raise SettingError(f"--pixel-perfect {text!r} is no size; wanted width and height, such as 512x768")
    return int(match[1]), int(match[2])


def _fit(text: str) -> "Fit":
    if text not in ("crop", "fill", "stretch"):
        raise SettingError(f"--fit {text!r} is unknown; wanted crop, fill or stretch")
    return cast("Fit", text)
