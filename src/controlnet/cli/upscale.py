"""`controlnet upscale`: a picture enlarged and painted over, tile by tile."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli._controls import FORM, paired, read_control

EXAMPLES = """\
Examples:

  controlnet upscale small.png "a red cube on a sand floor" --out large.png
  controlnet upscale small.png "a red cube" --scale 4 --strength .3 --out large.png
  controlnet upscale small.png "a red cube" --control canny=small.png --annotate canny --out large.png
  controlnet upscale photo.jpg --base BASE --control TILE=photo.jpg --tile 768 --overlap 128 --out large.png

Every tile has its own part of each control and of one noise; tiles blend smoothly where they overlap. Memory
is that of one tile, beside the picture. The PNG carries its settings.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def upscale(
        picture: Annotated[Path, typer.Argument(help="The picture to enlarge.", show_default=False)],
        prompt: Annotated[str, typer.Argument(help="What it shows; true for every tile.")] = "",
        base: Annotated[str, typer.Option(help='"shapes", a folder, one file, or a hub id.')] = "shapes",
        control: Annotated[
            list[str] | None,
            typer.Option(help=f"{FORM}, of the whole picture; may be repeated.", show_default=False),
        ] = None,
        annotate: Annotated[
            list[str] | None,
            typer.Option(help='Make the map from the picture: canny, "canny(low=50)"; one for each control.'),
        ] = None,
        out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("out.png"),
        scale: Annotated[float, typer.Option(help="How many times as wide and high.", min=0.1)] = 2.0,
        strength: Annotated[float, typer.Option(help="How far to leave it.", min=0.0, max=1.0)] = 0.35,
        tile: Annotated[int | None, typer.Option(help="Side in pixels; else the base's own.")] = None,
        overlap: Annotated[int | None, typer.Option(help="In pixels; else a quarter of a tile.")] = None,
        upscaler: Annotated[str, typer.Option(help="lanczos or bicubic.")] = "lanczos",
        negative: Annotated[str, typer.Option(help="What the picture should not show.")] = "",
        seed: Annotated[int, typer.Option(help="Of the noise; -1 draws one.", min=-1)] = -1,
        steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
        guidance: Annotated[float, typer.Option(help="Guidance scale; 1 is none.", min=0.0)] = 7.5,
        sampler: Annotated[str, typer.Option(help="dpm++2m, ddim, unipc, euler, euler a …")] = "dpm++2m",
        lora: Annotated[
            list[str] | None, typer.Option(help="FILE[:WEIGHT], added to the base; may be repeated.")
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    ) -> None:
        """Enlarge a picture and paint it over in overlapping tiles."""
        from controlnet.cli._job import Job, read_lora
        from controlnet.cli._tasks.upscaling import Tiles, run
        from controlnet.sampling.schedulers import sampler_name

        controls = [read_control(text) for text in control or ()]
        job = Job(
            prompts=[prompt],
            negative=negative,
            base=base,
            controls=controls,
            annotators=paired(annotate or (), len(controls)),
            out=out,
            seed=secrets.randbelow(2**32) if seed == -1 else seed,
            count=1,
            steps=steps,
            guidance=guidance,
            guidance_rescale=0.0,
            clip_skip=None,
            sampler=sampler_name(sampler),
            width=None,
            height=None,
            image=picture,
            mask=None,
            strength=strength,
            loras=[read_lora(text) for text in lora or ()],
            grid=False,
            device=device,
        )
        for path in run(job, Tiles(scale, tile, overlap, upscaler)):
            typer.echo(str(path))
        typer.echo(f"seed {job.seed}")
