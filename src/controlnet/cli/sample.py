"""`controlnet sample`: prompts and controls into pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from controlnet.cli import _options as shared
from controlnet.cli._controls import paired, read_control
from controlnet.errors import SettingError

EXAMPLES = f"""\
Examples:

  controlnet sample "a red cube on a sand floor" --out cube.png
  controlnet sample "a red cube" --control canny=edges.png --out cube.png
  controlnet sample "a red cube" --control canny=photo.jpg --annotate canny --out cube.png
  controlnet sample "a red cube" --control canny=edges.png,weight=.8,end=.6 --out cube.png
  controlnet sample "a red cube" --count 4 --grid --seed 7 --out cubes.png
  controlnet sample "a red cube" --hires 2 --out large.png
  controlnet sample "a red sphere" --image photo.jpg --mask mask.png --feather 8 --out new.png
  controlnet sample "a sand floor" --image photo.jpg --outpaint left=64,right=64 --out wide.png
  controlnet sample --prompts prompts.txt --sampler "DPM++ 2M Karras" --out cubes.png
  controlnet sample --from cube.png --seed 8 --out other.png

{shared.SETTINGS}
A ControlNet for inpainting wants --annotate inpaint: it sees the picture
with holes where --mask or --outpaint has it painted anew.

Several pictures are numbered (out-1.png …), and a map that was made lies
beside them (out.map.png). PNGs carry their settings: "parameters" as the web
UI writes them, "controlnet" as JSON. --from takes them over, from pictures
of the web UI too.
"""

PICTURE: Final = "A picture to begin from"
SECOND: Final = "A second pass"

# Options whose names in a job are others.
_FIELDS: Final = {
    "prompt": "prompts",
    "text_encoder": "text_encoders",
    "control": "controls",
    "annotate": "annotators",
    "lora": "loras",
    "embedding": "embeddings",
}


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def sample(
        context: typer.Context,
        prompt: Annotated[
            str | None, typer.Argument(help="What the picture shows.", show_default=False)
        ] = None,
        out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("out.png"),
        negative: shared.Negative = "",
        seed: Annotated[int, typer.Option(help="Picture k has seed + k; -1 draws one.", min=-1)] = -1,
        count: Annotated[int, typer.Option(help="How many pictures of each prompt.", min=1)] = 1,
        width: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        height: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        prompts: Annotated[Path | None, typer.Option(help="A file with one prompt a line.")] = None,
        source: Annotated[
            Path | None,
            typer.Option("--from", help="Take the settings of this picture, but for those given."),
        ] = None,
        grid: Annotated[bool, typer.Option("--grid", help="All pictures in one file.")] = False,
        preview: Annotated[
            Path | None, typer.Option(help="A file that shows the picture while it is made.")
        ] = None,
        control: shared.Control = None,
        annotate: shared.Annotate = None,
        image: Annotated[Path | None, typer.Option(help="The picture.", rich_help_panel=PICTURE)] = None,
        strength: Annotated[
            float, typer.Option(help="How far to leave it.", min=0.0, max=1.0, rich_help_panel=PICTURE)
        ] = 1.0,
        mask: Annotated[
            Path | None,
            typer.Option(help="Paint anew only what is white here.", rich_help_panel=PICTURE),
        ] = None,
        outpaint: Annotated[
            str | None,
            typer.Option(
                help="Grow it: pixels by side, as left=64,right=64 (top, bottom); a number is for all.",
                rich_help_panel=PICTURE,
            ),
        ] = None,
        feather: Annotated[
            int,
            typer.Option(
                help="Width of the soft edge around what is new, in pixels.", min=0, rich_help_panel=PICTURE
            ),
        ] = 0,
        hires: Annotated[
            float | None,
            typer.Option(
                help="Enlarge the picture so many times and paint it over; --width is of the first pass.",
                rich_help_panel=SECOND,
            ),
        ] = None,
        hires_strength: Annotated[
            float,
            typer.Option(
                help="How far the second leaves the first.", min=0.0, max=1.0, rich_help_panel=SECOND
            ),
        ] = 0.55,
        upscaler: Annotated[
            str, typer.Option(help="lanczos, bicubic or latent.", rich_help_panel=SECOND)
        ] = "lanczos",
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
        """Make pictures from a prompt, under any number of controls."""
        from controlnet.cli._again import repeated
        from controlnet.cli._job import (
            Job,
            drawn,
            read_embedding,
            read_encoders,
            read_lora,
            read_prompts,
            read_sides,
        )
        from controlnet.cli._sampling import run
        from controlnet.sampling.enlarge import upscaler_name
        from controlnet.sampling.schedulers import sampler_name

        given = {name for name in context.params if _by_hand(context, name)}
        if len(given & {"prompt", "prompts"}) > 1 or not given & {"prompt", "prompts", "source"}:
            raise SettingError("wanted a prompt, or --prompts FILE with one a line, or --from a picture")
        if source is not None and "out" not in given:
            out = source.with_name(f"{source.stem}-again.png")
        job = Job(
            prompts=read_prompts(prompts) if prompts else [prompt or ""],
            negative=negative,
            base=base,
            vae=vae,
            text_encoders=read_encoders(text_encoder or ()),
            prediction_type=prediction_type,
            ema=ema,
            controls=[read_control(text) for text in control or ()],
            annotators=annotate or (),
            out=out,
            seed=drawn(seed),
            count=count,
            steps=steps,
            guidance=guidance,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            reuse=reuse,
            vae_tile=vae_tile,
            offload=offload,
            prepack=prepack,
            sampler=sampler_name(sampler),
            width=width,
            height=height,
            image=image,
            mask=mask,
            feather=feather,
            outpaint=read_sides(outpaint) if outpaint else {},
            strength=strength,
            hires=hires,
            hires_strength=hires_strength,
            upscaler=upscaler_name(upscaler),
            loras=[read_lora(text) for text in lora or ()],
            embeddings=[read_embedding(text) for text in embedding or ()],
            grid=grid,
            preview=preview,
            device=device,
        )
        if source is not None:
            fields = {_FIELDS.get(name, name) for name in given - {"source"}} | {"out", "preview"}
            job = repeated(job, fields | ({"annotators"} if "controls" in fields else set()), source)
        if job.hires is None and given & {"hires_strength", "upscaler"}:
            raise SettingError("got --hires-strength or --upscaler without --hires; wanted the scale too")
        job = replace(job, annotators=paired(job.annotators, len(job.controls)))
        for path in run(job):
            typer.echo(str(path))
        last = job.seed + job.total - 1
        typer.echo(f"seed {last}" if job.total == 1 else f"seeds {job.seed} to {last}")


def _by_hand(context: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
