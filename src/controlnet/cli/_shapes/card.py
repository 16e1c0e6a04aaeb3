"""The model card of the shipped weights, from what was logged and measured; each figure with its command."""

import json
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, Final

from PIL import Image
from safetensors import safe_open

from controlnet.checkpoints import describe
from controlnet.cli._shapes.measure import read_quality
from controlnet.cli._shapes.world import Weights, World
from controlnet.evaluation.canvas import Picture
from controlnet.evaluation.chart import WIDTH, Chart, Panel, Series, draw
from controlnet.files import whole

POINTS: Final = 160  # of a curve: each the mean of a stretch of steps
SHOWN: Final = {"autoencoder": ("l1", "edges"), "base": ("mse",), "judge": ("loss",)}

HEAD: Final = """\
# The embedded world: base, judge and ControlNets

A text-to-image model of Stable Diffusion's shape, only small, trained from nothing on rendered scenes of
solids and mannequins; the judge that reads such scenes back from pictures; and ControlNets for the base. They
are for learning, for tests and for experiments that shall fit a CPU. They know nothing of the world outside,
and no photograph, drawing or text of anybody was used: all pictures come from `controlnet.shapes.render`.
Licence: Apache-2.0, as the code.

This card is written by `controlnet shapes card`; every number in it was measured by the command beside it.
"""
RECIPE: Final = """\
controlnet shapes corpus --out world
controlnet shapes autoencoder --out world
controlnet shapes base --out world
controlnet shapes judge --out world
controlnet shapes export --out world
{controlnets}
controlnet shapes export --out world
controlnet shapes measure
controlnet shapes card --out world
"""
LIMITS: Final = """\
## Limits

128×128 pixels, one to three solids or a mannequin, and these words:

{words}

Other words fall apart into letters and mean nothing. The judge sees what it was trained to see: its own
error on true pictures, above, bounds every score that it gives. World 1 trains, world 2 measures; networks
start from seed 0.
"""
NAMES: Final = {
    "psnr_db": "reconstruction, PSNR in dB",
    "edge_f1": "reconstruction, edge F1 (one pixel)",
    "attributes": "attributes shown by samples",
    "attributes_true_pictures": "attributes shown by the true pictures",
    "attribute_accuracy": "attributes shown by the true pictures",
    "class_miou": "classes, mean IoU",
    "tint_accuracy": "colours of things, share of pixels",
    "depth_rmse": "depth map, RMSE (0 … 1)",
    "normal_degrees": "normals, mean angle in degrees",
    "keypoint_pck": "keypoints within 5 % of the side",
    "floor_accuracy": "floors",
    "sky_accuracy": "skies",
    "prompt_only": "prompt only",
    "controlled": "controlled",
    "controlled_error": "its standard error",
    "ceiling": "ceiling: the true picture through the autoencoder",
    "closed": "share of the distance closed",
    "metric": "measured by",
}


def write_card(world: World, weights: Weights) -> None:
    """Write README.md and curves.png beside the weights; what was not logged or measured is left out."""
    sections = [HEAD, *_inside(weights), *_quality(weights)]
    image = curves(world)
    if image is not None:
        with whole(weights.curves) as part:
            image.save(part, format="PNG", optimize=True)
    if weights.curves.is_file():
        sections.append("## Training\n\n![training curves](curves.png)\n")
    named = "\n".join(f"controlnet shapes controlnet {name} --out world" for name in weights.controlnets)
    told = "From nothing, on two CPU cores; each command can be stopped and goes on."
    sections.append(f"## Recipe\n\n{told}\n\n```\n{RECIPE.format(controlnets=named)}```\n")
    sections.append(LIMITS.format(words=_vocabulary()))
    with whole(weights.card) as part:
        part.write_text("\n".join(sections), encoding="utf-8")


def curves(world: World) -> Image.Image | None:
    """Draw what every run has logged, one chart below the other; None where there is no log."""
    drawn: list[Image.Image] = []
    for chart in _charts(world):
        canvas = Picture(WIDTH, chart.height)
        draw(chart, canvas)
        drawn.append(canvas.image)
    if not drawn:
        return None
    sheet = Image.new("RGB", (drawn[0].width, sum(image.height for image in drawn)))
    top = 0
    for image in drawn:
        sheet.paste(image, (0, top))
        top += image.height
    return sheet.resize((sheet.width // 2, sheet.height // 2), Image.Resampling.LANCZOS)


def thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """Replace stretches of a noisy curve by their means, so that at most so many points are left."""
    length = -(-len(points) // most)
    stretches = [points[first : first + length] for first in range(0, len(points), length)]
    return [(stretch[-1][0], sum(y for _, y in stretch) / len(stretch)) for stretch in stretches]


def _charts(world: World) -> Iterator[Chart]:
    for name, log in world.logs().items():
        records = _records(log)
        series = [Series(key, thinned(_of(records, key), POINTS)) for key in SHOWN[name] if _of(records, key)]
        yield Chart([Panel(f"{name}: training loss", series)], "steps")
    for name in world.controlnets():
        records = [
            record for record in _records(world.controlnet(name) / "metrics.jsonl") if "event" not in record
        ]
        panels = [Panel(f"ControlNet {name}: control gain", [Series("gain", _of(records, "gain"))])]
        if adherence := _of(records, "adherence"):
            panels.insert(
                0,
                Panel(
                    f"ControlNet {name}: adherence of samples", [Series("controlled", adherence, dots=True)]
                ),
            )
        yield Chart(panels, "steps")


def _records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _of(records: Sequence[Mapping[str, float]], key: str) -> list[tuple[float, float]]:
    return [(record["step"], record[key]) for record in records if key in record]


def _inside(weights: Weights) -> Iterator[str]:
    files = {
        str(path.relative_to(weights.root)): path for path in sorted(weights.root.rglob("*.safetensors"))
    }
    rows = []
    for name, path in files.items():
        with safe_open(str(path), framework="pt") as file:
            shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118 - it is no mapping
        rows.append((name, f"{sum(map(prod, shapes)):,}", f"{path.stat().st_size / 1e6:.1f} MB"))
    rows.append(("together", "", f"{weights.size / 1e6:.1f} MB"))
    yield "## What is here\n\n" + _table(("file", "parameters", "size"), rows)


def _quality(weights: Weights) -> Iterator[str]:
    yield "## Measured quality\n\nOn scenes of world 2, which none of the networks has seen.\n"
    for part, values in read_quality(weights).items():
        yield _part(part, values, f"controlnet shapes measure --part {part} --scenes {values['scenes']}")
    own = weights.judge / "quality.json"
    if own.is_file():
        values = json.loads(own.read_text(encoding="utf-8"))
        yield _part("judge", values, "controlnet shapes judge --out world")
    for name, path in weights.controlnets.items():
        plan = describe(path)["metadata"].get("plan", {})
        if plan:
            told = f"{plan['steps']} steps of {plan['optim']['batch']} × {plan['optim']['accumulation']}"
            yield f"ControlNet `{name}`: {told}; its file holds the plan (`controlnet info {name}`).\n"


def _part(part: str, values: Mapping[str, Any], command: str) -> str:
    told = [
        (NAMES.get(key, key), str(value)) for key, value in values.items() if key not in ("world", "scenes")
    ]
    return f"### {part}\n\n`{command}`\n\n" + _table((f"{values['scenes']} scenes", ""), told)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---", *("---:" for _ in header[1:])], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _vocabulary() -> str:
    from controlnet.shapes.palette import COLOURS, FLOORS, SKIES, SOLIDS

    kinds = {"solids": SOLIDS, "colours": COLOURS, "floors": FLOORS, "skies": SKIES}
    return "\n".join(f"- {kind}: {', '.join(words)}" for kind, words in kinds.items())
