"""`controlnet sample`: prompts and controls into pictures."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from controlnet.cli._controls import FORM, paired, read_control
from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet sample "a red cube on a sand floor" --out cube.png
  controlnet sample "a red cube" --control canny=edges.png --out cube.png
  controlnet sample "a red cube" --control canny=photo.jpg --annotate canny --out cube.png
  controlnet sample "a red cube" --control canny=edges.png,weight=.8,end=.6,mode=prompt --out cube.png
  controlnet sample "a red cube" --control "canny=edges.png,weight=0:1|0.6:0.2" --out cube.png
  controlnet sample "a red cube" --count 4 --grid --seed 7 --out cubes.png
  controlnet sample --prompts prompts.txt --sampler "DPM++ 2M Karras" --out cubes.png
  controlnet sample --from cube.png --seed 8 --out other.png

NET is a file, a folder, a hub id, or the name of a ControlNet that is shipped with the base "shapes" (canny).
Further settings of a control: rule, law and taps. PNGs carry their settings: "parameters" as the web UI
writes them, "controlnet" as JSON, and --from takes them over, from pictures of the web UI too. Several
pictures are numbered (out-1.png …), and a map that was made lies beside them (out.map.png).
"""

# Options whose names in a job are others.
_FIELDS: Final = {
    "prompt": "prompts",
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
        base: Annotated[str, typer.Option(help='"shapes", a folder, one file, or a hub id.')] = "shapes",
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
        count: Annotated[int, typer.Option(help="How many pictures of each prompt.", min=1)] = 1,
        steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
        guidance: Annotated[float, typer.Option(help="Guidance scale; 1 is none.", min=0.0)] = 7.5,
        guidance_rescale: Annotated[
            float, typer.Option(help="Take back the glare of strong guidance, as 0.7 does.", min=0.0, max=1.0)
        ] = 0.0,
        clip_skip: Annotated[
            int | None, typer.Option(help="Layer of the text encoder from the end; else the base's.", min=1)
        ] = None,
        sampler: Annotated[
            str, typer.Option(help="dpm++2m, dpm++2m karras, ddim, unipc, euler a … (docs/samplers.md).")
        ] = "dpm++2m",
        width: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        height: Annotated[int | None, typer.Option(help="In pixels; else the control's.")] = None,
        image: Annotated[Path | None, typer.Option(help="Begin from this picture.")] = None,
        mask: Annotated[Path | None, typer.Option(help="Paint anew only what is white here.")] = None,
        strength: Annotated[float, typer.Option(help="How far to leave --image.", min=0.0, max=1.0)] = 1.0,
        lora: Annotated[
            list[str] | None, typer.Option(help="FILE[:WEIGHT], added to the base; may be repeated.")
        ] = None,
        embedding: Annotated[
            list[str] | None, typer.Option(help="FILE[:TOKEN], a word for prompts; may be repeated.")
        ] = None,
        prompts: Annotated[Path | None, typer.Option(help="A file with one prompt a line.")] = None,
        source: Annotated[
            Path | None,
            typer.Option("--from", help="Take the settings of this picture, but for those given."),
        ] = None,
        grid: Annotated[bool, typer.Option("--grid", help="All pictures in one file.")] = False,
        preview: Annotated[
            Path | None, typer.Option(help="A file that shows the picture while it is made.")
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    ) -> None:
        """Make pictures from a prompt, under any number of controls."""
        from controlnet.cli._again import repeated
        from controlnet.cli._job import Job, read_embedding, read_lora, read_prompts
        from controlnet.cli._sampling import run
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
            controls=[read_control(text) for text in control or ()],
            annotators=annotate or (),
            out=out,
            seed=secrets.randbelow(2**32) if seed == -1 else seed,
            count=count,
            steps=steps,
            guidance=guidance,
            guidance_rescale=guidance_rescale,
            clip_skip=clip_skip,
            sampler=sampler_name(sampler),
            width=width,
            height=height,
            image=image,
            mask=mask,
            strength=strength,
            loras=[read_lora(text) for text in lora or ()],
            embeddings=[read_embedding(text) for text in embedding or ()],
            grid=grid,
            preview=preview,
            device=device,
        )
        if source is not None:
            fields = {_FIELDS.get(name, name) for name in given - {"source"}} | {"out", "preview"}
            job = repeated(job, fields | ({"annotators"} if "controls" in fields else set()), source)
        job = replace(job, annotators=paired(job.annotators, len(job.controls)))
        for path in run(job):
            typer.echo(str(path))
        last = job.seed + job.total - 1
        typer.echo(f"seed {last}" if job.total == 1 else f"seeds {job.seed} to {last}")


def _by_hand(context: typer.Context, name: str) -> bool:
    """Say whether an option stands on the command line."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
