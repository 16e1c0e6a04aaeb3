"""`controlnet upscale`: a picture enlarged and painted over, tile by tile."""

from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli import _options as shared
from controlnet.cli._controls import paired, read_control

EXAMPLES = f"""\
Examples:

  controlnet upscale small.png "a red cube on a sand floor" --out large.png
  controlnet upscale small.png "a red cube" --scale 4 --strength .3 --out large.png
  controlnet upscale small.png "a red cube" --control canny=small.png --annotate canny --out large.png
  controlnet upscale photo.jpg --base BASE --control TILE=photo.jpg --tile 768 --overlap 128 --out large.png

Every tile has its own part of each control, whose IMAGE is of the whole
picture, and of one noise; tiles blend smoothly where they overlap. Memory is
that of one tile, beside the picture. The PNG carries its settings.

{shared.SETTINGS}"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def upscale(
        picture: Annotated[Path, typer.Argument(help="The picture to enlarge.", show_default=False)],
        prompt: Annotated[str, typer.Argument(help="What it shows; true for every tile.")] = "",
        out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("out.png"),
        negative: shared.Negative = "",
        seed: Annotated[int, typer.Option(help="Of the noise; -1 draws one.", min=-1)] = -1,
        scale: Annotated[float, typer.Option(help="How many times as wide and high.", min=0.1)] = 2.0,
        strength: Annotated[float, typer.Option(help="How far to leave it.", min=0.0, max=1.0)] = 0.35,
        tile: Annotated[int | None, typer.Option(help="Side in pixels; else the base's own.")] = None,
        overlap: Annotated[int | None, typer.Option(help="In pixels; else a quarter of a tile.")] = None,
        upscaler: Annotated[str, typer.Option(help="lanczos or bicubic.")] = "lanczos",
        control: shared.Control = None,
        annotate: shared.Annotate = None,
        steps: shared.Steps = 20,
        guidance: shared.Guidance = 7.5,
        guidance_rescale: shared.GuidanceRescale = 0.0,
        sampler: shared.Sampler = "dpm++2m",
        clip_skip: shared.ClipSkip = None,
        reuse: shared.Reuse = None,
        base: shared.Base = "shapes",
        vae: shared.Vae = None,
        text_encoder: shared.TextEncoder = None,
        prediction_type: shared.PredictionType = None,
        ema: shared.Ema = False,
        lora: shared.Lora = None,
        embedding: shared.Embedding = None,
        vae_tile: shared.VaeTile = None,
        offload: shared.Offload = False,
        prepack: shared.Prepack = False,
        device: shared.Device = "auto",
    ) -> None:
        """Enlarge a picture and paint it over in overlapping tiles."""
        from controlnet.cli._job import Job, drawn, read_embedding, read_encoders, read_lora
        from controlnet.cli._tasks.upscaling import Tiles, run
        from controlnet.sampling.schedulers import sampler_name

        job = Job(
            prompts=[prompt],
            negative=negative,
            base=base,
            vae=vae,
            text_encoders=read_encoders(text_encoder or ()),
            prediction_type=prediction_type,
            ema=ema,
            controls=[read_control(text) for text in control or ()],
            annotators=paired(annotate or (), len(control or ())),
            out=out,
            seed=drawn(seed),
            steps=steps,
            guidance=guidance,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            reuse=reuse,
            vae_tile=vae_tile,
            offload=offload,
            prepack=prepack,
            sampler=sampler_name(sampler),
            image=picture,
            strength=strength,
            loras=[read_lora(text) for text in lora or ()],
            embeddings=[read_embedding(text) for text in embedding or ()],
            device=device,
        )
        for path in run(job, Tiles(scale, tile, overlap, upscaler)):
            typer.echo(str(path))
        typer.echo(f"seed {job.seed}")
