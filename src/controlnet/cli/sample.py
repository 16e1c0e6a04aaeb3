"""`controlnet sample`: prompts and controls into pictures."""

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli._controls import FORM, read_control
from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet sample "a red cube on a sand floor" --out cube.png
  controlnet sample "a red cube" --control canny=edges.png --out cube.png
  controlnet sample "a red cube" --control canny=photo.jpg --annotate canny --out cube.png
  controlnet sample "a red cube" --control canny=edges.png,weight=.8,end=.6,mode=prompt --out cube.png
  controlnet sample "a red cube" --count 4 --grid --seed 7 --out cubes.png

NET is a file, a folder, a hub id, or the name of a ControlNet that is shipped with the base "shapes" (canny).
PNGs carry their settings: "parameters" as the web UI writes them, "controlnet" as JSON. Several pictures are
numbered (out-1.png …), and a map that was made lies beside them (out.map.png).
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def sample(
        prompt: Annotated[str, typer.Argument(help="What the picture shows.", show_default=False)],
        base: Annotated[str, typer.Option(help='"shapes", a diffusers folder, or a hub id.')] = "shapes",
        control: Annotated[
            list[str] | None, typer.Option(help=f"{FORM}; may be repeated.", show_default=False)
        ] = None,
        annotate: Annotated[
            list[str] | None,
            typer.Option(help='Make the map from the picture: canny, "canny(low=50)"; one for each control.'),
        ] = None,
        out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("out.png"),
        negative: Annotated[str, typer.Option(help="What the picture should not show.")] = "",
        seed: Annotated[int, typer.Option(help="Picture k has seed + k; -1 draws one.", min=-1)] = -1,
        count: Annotated[int, typer.Option(help="How many pictures.", min=1)] = 1,
        steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
        guidance: Annotated[float, typer.Option(help="Guidance scale; 1 is none.", min=0.0)] = 7.5,
        sampler: Annotated[str, typer.Option(help="dpm++2m, ddim, unipc, euler, euler a …")] = "dpm++2m",
        width: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        height: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        image: Annotated[Path | None, typer.Option(help="Begin from this picture.")] = None,
        mask: Annotated[Path | None, typer.Option(help="Paint anew only what is white here.")] = None,
        strength: Annotated[float, typer.Option(help="How far to leave --image.", min=0.0, max=1.0)] = 1.0,
        grid: Annotated[bool, typer.Option("--grid", help="All pictures in one file.")] = False,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    ) -> None:
        """Make pictures from a prompt, under any number of controls."""
        from controlnet.cli._sampling import Job, run
        from controlnet.sampling.schedulers import sampler_name

        controls = [read_control(text) for text in control or ()]
        drawn = secrets.randbelow(2**32) if seed == -1 else seed
        job = Job(
            prompt=prompt,
            negative=negative,
            base=base,
            controls=controls,
            annotators=annotators(annotate or (), len(controls)),
            out=out,
            seed=drawn,
            count=count,
            steps=steps,
            guidance=guidance,
            sampler=sampler_name(sampler),
            width=width,
            height=height,
            image=image,
            mask=mask,
            strength=strength,
            grid=grid,
            device=device,
        )
        for path in run(job):
            typer.echo(str(path))
        typer.echo(f"seed {drawn}" if count == 1 else f"seeds {drawn} to {drawn + count - 1}")


def annotators(given: Sequence[str], controls: int) -> list[str | None]:
    """Pair annotators with controls, in order; "none" leaves a picture as it is.

    Raises SettingError where there are some, but not one for each.
    """
    if given and len(given) != controls:
        raise SettingError(
            f"got {len(given)} --annotate for {controls} --control; wanted one for each, in order: "
            '"none" for a picture that is a map already'
        )
    return [None if text == "none" else text for text in given] or [None] * controls
