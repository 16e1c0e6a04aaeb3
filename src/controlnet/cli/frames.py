"""`controlnet frames`: a picture for each frame of a folder or a video, all from one seed."""

from pathlib import Path
from typing import Annotated

import typer

from controlnet.cli import _options as shared
from controlnet.cli._controls import paired, read_control
from controlnet.errors import SettingError

EXAMPLES = f"""\
Examples:

  controlnet frames "a red cube" --control canny=clip.mp4 --annotate canny --out painted.mp4
  controlnet frames "a red cube" --control canny=maps/ --out painted/
  controlnet frames "a red cube" --control canny=maps/ --image clip.mp4 --strength .6 --out painted.mp4

IMAGE is a folder or a video with one picture for each frame. Folders are read
in the order of the numbers in their names. What is there and was made in the
same way stays, so the same command goes on where it was stopped; a video's
frames wait in a folder beside it until all are there.

{shared.SETTINGS}"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def frames(
        prompt: Annotated[str, typer.Argument(help="What the pictures show.", show_default=False)],
        out: Annotated[Path, typer.Option("--out", "-o", help="A folder, or a video: .mp4, .avi …")],
        negative: shared.Negative = "",
        seed: Annotated[int, typer.Option(help="Of every picture; -1 draws one.", min=-1)] = 7,
        image: Annotated[
            Path | None, typer.Option(help="Begin each picture from a frame of this folder or video.")
        ] = None,
        strength: Annotated[float, typer.Option(help="How far to leave --image.", min=0.0, max=1.0)] = 1.0,
        width: Annotated[int | None, typer.Option(help="In pixels; else the frames'.")] = None,
        height: Annotated[int | None, typer.Option(help="In pixels; else the frames'.")] = None,
        rate: Annotated[float | None, typer.Option(help="Frames a second; else the source's.")] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Make all anew.")] = False,
        keep: Annotated[bool, typer.Option("--keep", help="Keep the frames of a video as PNGs too.")] = False,
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
        """Make a picture of each frame, under control maps of its own."""
        from controlnet.cli._job import Job, drawn, read_embedding, read_encoders, read_lora
        from controlnet.cli._tasks.sequence import Sequence, run
        from controlnet.sampling.schedulers import sampler_name

        if (image is None) != (strength == 1.0):
            raise SettingError("got one of --image and --strength (below 1); wanted both, or none")
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
            width=width,
            height=height,
            image=image,
            strength=strength,
            loras=[read_lora(text) for text in lora or ()],
            embeddings=[read_embedding(text) for text in embedding or ()],
            device=device,
        )
        done = run(job, Sequence(rate, overwrite, keep))
        typer.echo(f"{done.made + done.kept} frames are in {out}; {done.kept} of them were there already")
        typer.echo(f"seed {job.seed}")
