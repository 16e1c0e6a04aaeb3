"""`controlnet frames`: a picture for each frame of a folder or a video, all from one seed."""

import secrets
from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli._controls import FORM, paired, read_control
from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet frames "a red cube" --control canny=clip.mp4 --annotate canny --out painted.mp4
  controlnet frames "a red cube" --control canny=maps/ --out painted/
  controlnet frames "a red cube" --control canny=maps/ --image clip.mp4 --strength .6 --out painted.mp4

Where a control has a picture elsewhere, here it has a folder or a video with one for each frame. Folders are
read in the order of the numbers in their names. What is there and was made in the same way stays, so the same
command goes on where it was stopped; a video's frames wait in a folder beside it until all are there.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def frames(
        prompt: Annotated[str, typer.Argument(help="What the pictures show.", show_default=False)],
        out: Annotated[Path, typer.Option("--out", "-o", help="A folder, or a video: .mp4, .avi …")],
        base: Annotated[str, typer.Option(help='"shapes", a folder, one file, or a hub id.')] = "shapes",
        control: Annotated[
            list[str] | None,
            typer.Option(help=f"{FORM}, IMAGE a folder or a video; may be repeated.", show_default=False),
        ] = None,
        annotate: Annotated[
            list[str] | None,
            typer.Option(help='Make the maps from the frames: canny, "canny(low=50)"; one for each control.'),
        ] = None,
        image: Annotated[
            Path | None, typer.Option(help="Begin each picture from a frame of this folder or video.")
        ] = None,
        strength: Annotated[float, typer.Option(help="How far to leave --image.", min=0.0, max=1.0)] = 1.0,
        negative: Annotated[str, typer.Option(help="What the pictures should not show.")] = "",
        seed: Annotated[int, typer.Option(help="Of every picture; -1 draws one.", min=-1)] = 7,
        steps: Annotated[int, typer.Option(help="Denoising steps.", min=1)] = 20,
        guidance: Annotated[float, typer.Option(help="Guidance scale; 1 is none.", min=0.0)] = 7.5,
        sampler: Annotated[str, typer.Option(help="dpm++2m, ddim, unipc, euler, euler a …")] = "dpm++2m",
        width: Annotated[int | None, typer.Option(help="In pixels; else the frames'.")] = None,
        height: Annotated[int | None, typer.Option(help="In pixels; else the frames'.")] = None,
        rate: Annotated[float | None, typer.Option(help="Frames a second; else the source's.")] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Make all anew.")] = False,
        keep: Annotated[bool, typer.Option("--keep", help="Keep the frames of a video as PNGs too.")] = False,
        lora: Annotated[
            list[str] | None, typer.Option(help="FILE[:WEIGHT], added to the base; may be repeated.")
        ] = None,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    ) -> None:
        """Make a picture of each frame, under control maps of its own."""
        from controlnet.cli._job import Job, read_lora
        from controlnet.cli._tasks.sequence import Sequence, run
        from controlnet.sampling.schedulers import sampler_name

        controls = [read_control(text) for text in control or ()]
        if (image is None) != (strength == 1.0):
            raise SettingError("got one of --image and --strength (below 1); wanted both, or none")
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
            width=width,
            height=height,
            image=image,
            mask=None,
            strength=strength,
            loras=[read_lora(text) for text in lora or ()],
            grid=False,
            device=device,
        )
        done = run(job, Sequence(rate, overwrite, keep))
        typer.echo(f"{done.made + done.kept} frames are in {out}; {done.kept} of them were there already")
        typer.echo(f"seed {job.seed}")
