"""The options that `sample`, `frames` and `upscale` have in common, each declared once."""

from pathlib import Path
from typing import Annotated, Final

import typer

CONTROLS: Final = "Controls"
SOLVER: Final = "Guidance and solver"
BASE: Final = "Base"

Control = Annotated[
    list[str] | None,
    typer.Option(
        help="NET=IMAGE[,SETTING=VALUE …] (settings below); may be repeated.",
        show_default=False,
        rich_help_panel=CONTROLS,
    ),
]
Annotate = Annotated[
    list[str] | None,
    typer.Option(
        help='Make the map from the picture: canny, "canny(low=50)"; one for each control.',
        show_default=False,
        rich_help_panel=CONTROLS,
    ),
]
Negative = Annotated[str, typer.Option(help="What not to show.", show_default=False)]
Seed = Annotated[int, typer.Option(help="-1 draws one.", min=-1)]
Steps = Annotated[int, typer.Option(help="Denoising steps.", min=1, rich_help_panel=SOLVER)]
Guidance = Annotated[float, typer.Option(help="Guidance scale; 1 is none.", min=0.0, rich_help_panel=SOLVER)]
GuidanceRescale = Annotated[
    float,
    typer.Option(
        help="Take back the glare of strong guidance, as 0.7 does.", min=0.0, max=1.0, rich_help_panel=SOLVER
    ),
]
ClipSkip = Annotated[
    int | None,
    typer.Option(
        help="Layer of the text encoder from the end; else the base's.", min=1, rich_help_panel=SOLVER
    ),
]
Sampler = Annotated[
    str,
    typer.Option(
        help="dpm++2m, dpm++2m karras, ddim, unipc, euler a … (docs/samplers.md).", rich_help_panel=SOLVER
    ),
]
Reuse = Annotated[
    str | None,
    typer.Option(
        help="Approximate speed: deep:3, residuals:2 (docs/sampling.md); else each step is whole.",
        show_default=False,
        rich_help_panel=SOLVER,
    ),
]
Base = Annotated[str, typer.Option(help='"shapes", a folder, one file, or a hub id.', rich_help_panel=BASE)]
Vae = Annotated[Path | None, typer.Option(help="Another VAE: a file or a folder.", rich_help_panel=BASE)]
TextEncoder = Annotated[
    list[Path] | None,
    typer.Option(
        help="Another text encoder, file or folder; with several, one for each, own to keep it.",
        show_default=False,
        rich_help_panel=BASE,
    ),
]
PredictionType = Annotated[
    str | None,
    typer.Option(help="epsilon or v_prediction, where the base does not say.", rich_help_panel=BASE),
]
Ema = Annotated[
    bool,
    typer.Option(
        "--ema/--no-ema",
        help="Take the moving average of the weights, where a file has both.",
        rich_help_panel=BASE,
    ),
]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        help="FILE[:WEIGHT], added to the base; may be repeated.", show_default=False, rich_help_panel=BASE
    ),
]
Embedding = Annotated[
    list[str] | None,
    typer.Option(
        help="FILE[:TOKEN], a word for prompts; may be repeated.", show_default=False, rich_help_panel=BASE
    ),
]
VaeTile = Annotated[
    int | None,
    typer.Option(
        help="Let the VAE take larger pictures in tiles of so many pixels a side, as 512; saves memory.",
        show_default=False,
        rich_help_panel=BASE,
    ),
]
Offload = Annotated[
    bool,
    typer.Option(
        "--offload/--no-offload",
        help="Text encoders and VAE leave the device while they do not work.",
        rich_help_panel=BASE,
    ),
]
Prepack = Annotated[
    bool,
    typer.Option(
        "--prepack/--no-prepack",
        help="Weights in the order of the CPU's kernels: large networks step faster after a slow first.",
        rich_help_panel=BASE,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=BASE)]

SETTINGS: Final = """\
NET is a file, a folder, a hub id, or the name of a ControlNet that is
shipped with the base "shapes" (canny, openpose). Settings of a control:
weight=.8, or a course of it ("weight=0:1|0.6:0.2"), start=0, end=.6,
mode=balanced (prompt, control, unbalanced), mask=PICTURE; also taps, law
and rule (docs/sampling.md).
"""
