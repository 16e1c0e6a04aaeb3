"""`controlnet dataset build`: pictures into triples of picture, control map and caption."""

import os
import re
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controlnet.cli._progress import progress
from controlnet.errors import SettingError

if TYPE_CHECKING:
    from controlnet.data.build import Progress
    from controlnet.data.build.run import Runner

EXAMPLES = """\
Examples:

  controlnet dataset build photos/ --condition canny --out sets/canny
  controlnet dataset build photos/ --condition "canny(low=50..150, high=150..250)" --out sets/canny
  controlnet dataset build photos/ --condition depth_midas --caption blip --out sets/depth
  controlnet dataset build shards/ --condition "scribble_xdog(threshold=8..48)" --layout webdataset --out new/
  controlnet dataset build owner/name --from datasets --caption-column text --condition canny --out sets/canny

Ranges (low=50..150) and alternatives (strokes='dark'|'light') are drawn for
each picture, by its content and the seed. A caption file beside a picture
(.txt, .caption) wins over a column, a column over a captioner. What is left
out is listed in refused.jsonl. A build that was stopped, killed outright even,
is continued by the same command; one that is finished writes nothing.
"""


def build(
    source: Annotated[
        str, typer.Argument(help="Folder of pictures, of shards, a data set, or (--from datasets) a name.")
    ],
    condition: Annotated[
        str, typer.Option(help='Control map, such as canny or "canny(low=50..150, high=150..250)".')
    ],
    out: Annotated[Path, typer.Option(help="Folder to write to; one that was begun is continued.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--from", help="What the source is: pictures, manifest, shards or datasets; by default found out."
        ),
    ] = None,
    caption: Annotated[
        str | None, typer.Option(help="Who captions what comes without, such as \"blip(model='FOLDER')\".")
    ] = None,
    caption_column: Annotated[str, typer.Option(help="Column or field of captions.")] = "caption",
    image_column: Annotated[str, typer.Option(help="Column of pictures in a `datasets` data set.")] = "image",
    split: Annotated[str, typer.Option(help="Split of a `datasets` data set.")] = "train",
    missing_caption: Annotated[
        str, typer.Option(help="Pictures without a caption: skip them, or give them an empty one.")
    ] = "skip",
    seed: Annotated[int, typer.Option(min=0, help="Where random settings begin.")] = 0,
    least_side: Annotated[int, typer.Option(min=1, help="Least short side in pixels.")] = 64,
    aspect: Annotated[str, typer.Option(help="Least and greatest width / height.")] = "0.25..4",
    blank: Annotated[
        float, typer.Option(min=0, help="Pictures whose grey deviates by less, of 255, are left out.")
    ] = 2.0,
    near: Annotated[
        int,
        typer.Option(
            min=-1, max=6, help="Bits of 64 in which hashes of one picture may differ; -1: keep all."
        ),
    ] = 4,
    short_side: Annotated[
        int | None, typer.Option(min=16, help="Shrink pictures to this short side in pixels.")
    ] = None,
    store: Annotated[
        str, typer.Option(help="Files of pictures: keep them where they need no change, png, or jpg.")
    ] = "keep",
    layout: Annotated[str, typer.Option(help="imagefolder, or webdataset for shards.")] = "imagefolder",
    per_shard: Annotated[int, typer.Option(min=1, help="Examples in a shard.")] = 1000,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; by default one for each core.")
    ] = None,
    ray: Annotated[
        bool, typer.Option("--ray", help="Work on Ray Data: this machine, or RAY_ADDRESS.")
    ] = False,
) -> None:
    """Build a data set: pictures with control maps and captions, filtered, each with its provenance."""
    from controlnet.data.build import Recipe
    from controlnet.data.build import build as steps_of
    from controlnet.data.build.sources.opening import open_source
    from controlnet.fields import checked

    least, most = _aspect(aspect)
    values: dict[str, Any] = {
        "condition": condition,
        "seed": seed,
        "captioner": caption,
        "missing_caption": missing_caption,
        "least_side": least_side,
        "narrowest": least,
        "widest": most,
        "blank": blank,
        "near": None if near < 0 else near,
        "short_side": short_side,
        "store": store,
        "layout": layout,
        "per_shard": per_shard,
    }
    recipe = checked(Recipe, values, "dataset build")
    opened = open_source(source, kind, caption_column, image_column, split)
    workers = workers or os.cpu_count() or 1
    with closing(steps_of(opened, recipe, out, workers, _ray(workers) if ray else None)) as steps:
        found = next(steps)
        begun = found.seen
        try:
            with progress("building", found.total, "pictures") as advance:
                advance(begun)
                for found in steps:  # noqa: B007 - told in the end
                    advance(1)
        except (KeyboardInterrupt, SystemExit):
            typer.echo(f"{_told(out, found)}; the same command continues", err=True)
            raise
    typer.echo(f"{_told(out, found)} (seed {seed}{'; nothing was new' if found.seen == begun else ''})")


def _ray(workers: int) -> "Runner":
    from controlnet.data.build.on_ray import on_ray

    return partial(on_ray, workers=workers)


def _told(out: Path, found: "Progress") -> str:
    reasons = sorted(found.refused.items(), key=lambda item: (-item[1], item[0]))
    refused = "; left out: " + ", ".join(f"{count} {reason}" for reason, count in reasons) if reasons else ""
    return f"{out} holds {found.accepted} examples of {found.seen} pictures{refused}"


def _aspect(text: str) -> tuple[float, float]:
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*\.\.\s*(\d+(?:\.\d+)?)\s*", text)
    if match is None:
        raise SettingError(f"--aspect {text!r} is no range; wanted width / height, such as 0.5..2")
    return float(match[1]), float(match[2])
