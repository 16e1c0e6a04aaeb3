"""`controlnet gallery`: every condition on the same pictures, as a page and as a sheet."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli._progress import progress
from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet gallery --out gallery
  controlnet gallery photo.jpg other.jpg --out gallery
  controlnet gallery --out gallery --condition canny --condition "canny(low=20, high=60)"

The folder then holds index.html and sheet.png. Without pictures, those that
come with scikit-image are shown, if it is installed. Conditions whose weights
are not on this machine are listed with the commands that fetch them.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def gallery(
        pictures: Annotated[
            list[Path] | None, typer.Argument(help="Photographs to show.", show_default=False)
        ] = None,
        out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the page and the sheet.")] = Path(
            "gallery"
        ),
        chosen: Annotated[
            list[str] | None,
            typer.Option("--condition", "-c", help="Only this one; may be repeated.", show_default=False),
        ] = None,
        scenes: Annotated[
            int, typer.Option(help="Scenes of the embedded world beside the photographs.", min=0, max=20)
        ] = 2,
        side: Annotated[
            int, typer.Option(help="Side of a map on the sheet, in pixels.", min=32, max=1024)
        ] = 160,
    ) -> None:
        """Show every condition on the same pictures: a page, and one sheet."""
        from controlnet.cli._gallery import page, subjects
        from controlnet.cli._gallery.maps import show_all
        from controlnet.cli._png import save_png
        from controlnet.conditions import conditions

        files = pictures or subjects.bundled()
        if not files:
            typer.echo(
                "scikit-image, which brings the photographs, is not installed (pip install scikit-image): "
                "name pictures of your own to see them",
                err=True,
            )
        if not files and not scenes:
            raise SettingError("nothing to show: name a picture, or ask for --scenes 2")
        groups = subjects.gather(files, scenes)
        specs = chosen or conditions()
        with progress("making maps", len(specs), "conditions") as advance:
            found = show_all(specs, groups, advance)
        command = shlex.join(
            [
                *("controlnet", "gallery", *map(str, pictures or []), "--out", str(out)),
                *(word for spec in chosen or [] for word in ("--condition", spec)),
                *("--scenes", str(scenes), "--side", str(side)),
            ]
        )
        save_png(out / "sheet.png", page.few_colours(page.draw_sheet(found, side)), {"command": command})
        page.write_page(out / "index.html", found, command)
        drawn, absent = sum(bool(one.maps) for one in found), sum(bool(one.absent) for one in found)
        told = f"{drawn} of {len(found)} conditions on {len(groups.pictures.subjects)} pictures"
        typer.echo(f"{told} are in {out / 'index.html'}")
        if absent:
            typer.echo(f"{absent} more work once their weights are here: the page lists the commands")
        for one in found:
            if one.failed:
                typer.echo(f"{one.name}: {one.failed}", err=True)
