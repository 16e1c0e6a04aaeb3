"""`controlnet convert`: any known ControlNet file to any layout."""

from pathlib import Path
from typing import Annotated

import typer

from controlnet.errors import SettingError

EXAMPLES = """\
Examples:

  controlnet convert control_v11p_sd15_canny.pth canny/ --to diffusers
  controlnet convert canny/ canny.safetensors --to ldm --precision fp16
  controlnet convert control_sd15_canny.pth canny.safetensors --to ldm   (out of a whole checkpoint)
  controlnet convert net.safetensors small.safetensors --to control_lora --base BASE --rank 64
  controlnet convert small.safetensors net/ --to diffusers --base BASE
  controlnet convert net.safetensors other.safetensors --to ldm --transfer ORIGINAL OTHER
  controlnet convert a.safetensors mix.safetensors --to native --blend b.safetensors=0.3

Formats: native, diffusers (a folder), diffusers_file, ldm (or cldm, webui: original code, A1111, ComfyUI),
difference, control_lora. A base is a diffusers folder, a single file, or "shapes". See docs/formats.md.
"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command(epilog=EXAMPLES)
    def convert(
        source: Annotated[
            str,
            typer.Argument(metavar="IN", help="File, folder, name or hub id.", show_default=False),
        ],
        target: Annotated[
            Path, typer.Argument(metavar="OUT", help="The file or folder to write.", show_default=False)
        ],
        to: Annotated[str, typer.Option(help="The layout to write.", show_default=False)],
        precision: Annotated[
            str | None, typer.Option(help="fp32, fp16, bf16 or fp64; else as it is.", show_default=False)
        ] = None,
        base: Annotated[
            str | None, typer.Option(help="What differences and Control-LoRAs are relative to.")
        ] = None,
        rank: Annotated[int, typer.Option(help="Rank of a Control-LoRA.", min=1)] = 64,
        transfer: Annotated[
            tuple[str, str] | None,
            typer.Option(metavar="ORIGINAL OTHER", help="Transfer it: control + other base − original base."),
        ] = None,
        blend: Annotated[
            list[str] | None,
            typer.Option(metavar="OTHER=SHARE", help="Blend in another ControlNet; may be repeated."),
        ] = None,
        global_pool: Annotated[
            bool | None,
            typer.Option("--global-pool/--no-global-pool", help="Average the residuals (1.1's shuffle)."),
        ] = None,
    ) -> None:
        """Write a ControlNet in another layout, tensor by tensor: memory stays small."""
        from controlnet.checkpoints import convert as work

        told = work(source, target, to, precision, base, rank, transfer, _shares(blend or []), global_pool)
        size = f"{told['bytes'] / 2**20:.1f} MiB, {told['tensors']} tensors"
        typer.echo(f"{told['format']}: {target} ({size})")
        if "reconstruction_error" in told:
            lost = f"{told['reconstruction_error']:.2%}"
            typer.echo(f"rank {told['rank']} leaves out {lost} of the difference from the base")
        if "decoder" in told:
            typer.echo(f"{told['decoder']}: the decoder that was trained along; other programs pass it over")
        for name in told.get("without_decoder", ()):
            why = "it belongs to the original base" if transfer else "a blend keeps the first one's alone"
            typer.echo(f"the decoder that was trained along with {name} does not go along: {why}")


def _shares(texts: list[str]) -> dict[str, float]:
    """Read OTHER=SHARE texts; SettingError for one that is none."""
    shares: dict[str, float] = {}
    for text in texts:
        name, _, share = text.rpartition("=")
        try:
            shares[name] = float(share)
        except ValueError:
            name = ""
        if not name:
            raise SettingError(f"--blend {text}: wanted OTHER=SHARE, such as other.safetensors=0.3")
    return shares
