"""What the demo leaves to look at: contact sheets, curves, numbers, and the page with all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PIL import Image

from controlnet.cli._comparing import Comparison, Scored, closed
from controlnet.cli._demo.course import Course
from controlnet.cli._demo.folder import Folder
from controlnet.cli._demo.sheets import Column, Row, sheet
from controlnet.evaluation.canvas import Picture, Svg
from controlnet.evaluation.chart import WIDTH, Chart, Level, draw
from controlnet.evaluation.report import Page
from controlnet.files import whole
from controlnet.sampling.images import to_pictures

ROWS: Final = 6
WAYPOINTS: Final = 7
TARGETS: Final = {"trained": 0.4, "shipped": 0.8}  # of the distance, which the demo is to close


@dataclass(frozen=True)
class Findings:
    """All that the demo has found out; `shipped` is None where this installation has no ControlNets."""

    comparison: Comparison
    course: Course
    prompt_only: Scored
    trained: Scored
    shipped: Scored | None
    ceiling: Scored

    def lines(self) -> list[tuple[str, str, Scored]]:
        """Give key, name and scores of what is compared, from the least to the most."""
        found = [("prompt_only", "prompt only", self.prompt_only), ("trained", "trained here", self.trained)]
        if self.shipped is not None:
            found.append(("shipped", "shipped canny", self.shipped))
        return [*found, ("ceiling", "ceiling (autoencoder)", self.ceiling)]

    def closed(self, scored: Scored) -> float | None:
        """Return the share of the distance from prompt only to the ceiling; None where there is none."""
        return closed(scored.mean, self.prompt_only.mean, self.ceiling.mean)

    def table(self) -> list[tuple[str, str, str]]:
        """Give name, edge F1 with its standard error, and share of the distance, as texts."""
        return [
            (name, f"{scored.mean:.3f} ± {scored.error:.3f}", percent(self.closed(scored)))
            for _, name, scored in self.lines()
        ]

    def metrics(self) -> dict[str, Any]:
        """Return the content of metrics.json, settings and seconds aside."""
        return {
            "scenes": len(self.comparison),
            "edge_f1": {key: {"mean": s.mean, "error": s.error} for key, _, s in self.lines()},
            "closed": {key: self.closed(s) for key, _, s in self.lines() if key in TARGETS},
            "targets": TARGETS,
            "curve": {
                name: self.course.measured(name)
                for name in ("adherence", "gain", "gain_error", "held_out_loss")
            },
            "training": self.course.result,
        }

    def chart(self) -> Chart:
        """Return the curves with what they are to be compared with."""
        levels = [
            Level(f"{name.partition(' (')[0]} {scored.mean:.2f}", scored.mean)
            for key, name, scored in self.lines()
            if key != "trained"
        ]
        on_the_way = self.course.result["adherence_of_base"]
        return self.course.chart(self.prompt_only.mean if on_the_way is None else on_the_way, levels)

    def sheet(self) -> Image.Image:
        """Return the contact sheet: a row for each of the first scenes, a column for each moment."""
        examples, adherence = self.comparison.examples, dict(self.course.measured("adherence"))
        way = [step for step in self.course.shown(WAYPOINTS)]
        pictures = {step: self.course.pictures(step) for step in way}
        columns = [
            Column("condition", "canny edges"),
            Column("prompt only", f"= step 0   F1 {self.prompt_only.mean:.2f}"),
            *(
                Column(f"step {step}", f"F1 {adherence[step]:.2f}" if step in adherence else "")
                for step in way
            ),
        ]
        after = [self.prompt_only.shown(), *pictures.values()]
        if self.shipped is not None:
            columns.append(Column("shipped", f"F1 {self.shipped.mean:.2f}"))
            after.append(self.shipped.shown())
        columns.append(Column("true scene", f"ceiling F1 {self.ceiling.mean:.2f}"))
        conditions, truths = to_pictures(examples.condition * 2 - 1), to_pictures(examples.pixels)
        count = min([ROWS, *(len(column) for column in after)])
        rows = [
            Row(examples.captions[n], [conditions[n], *(column[n] for column in after), truths[n]])
            for n in range(count)
        ]
        return sheet(columns, rows, examples.pixels.shape[-1])


def percent(share: float | None) -> str:
    """Write a share."""
    return "–" if share is None else f"{share:.0%}"


def save_picture(image: Image.Image, path: Any) -> None:
    """Write a PNG, whole or not at all."""
    with whole(path) as part:
        image.save(part, format="PNG", optimize=True)


def write_page(
    folder: Folder, findings: Findings, shipped: Image.Image | None, lead: str, next_steps: Sequence[str],
    settings: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write sheet.png, curve.png and index.html; shipped.png is there already."""
    overview, chart = findings.sheet(), findings.chart()
    canvas, drawing = (
        Picture(WIDTH, chart.height),
        Svg(WIDTH, chart.height, "adherence and control gain over the steps"),
    )
    draw(chart, canvas)
    draw(chart, drawing)
    save_picture(overview, folder.sheet)
    save_picture(canvas.image, folder.curve)

    result, count = findings.course.result, len(findings.comparison)
    samples = len(findings.course.pictures(findings.course.shown(1)[0]))
    page = Page("A ControlNet from nothing", lead)
    page.heading("Pictures on the way")
    page.picture(
        overview,
        "contact sheet: condition, prompt only, pictures during training, true scene",
        "Each row: one scene that neither base nor ControlNet has seen in training, the same prompt and "
        "the same noise from left to right. At step 0 every zero convolution is zero, so the picture is the "
        "base's own, bit for bit.",
        least=900,
    )
    page.heading("How far the pictures obey")
    page.table(["", "edge F1", "of the distance"], findings.table())
    page.text(
        "Edge F1 compares the edges found in a sample with those asked for, one pixel of tolerance, mean ± "
        f"standard error over {count} held-out scenes. The ceiling is the true picture through the "
        "autoencoder and back; the distance is that from prompt only to the ceiling."
    )
    page.heading("When control arrives")
    arrived = result["arrived_at"]
    told = (
        "control did not arrive for certain within this run" if arrived is None else f"here at step {arrived}"
    )
    page.drawing(
        drawing.element(),
        "The training loss is silent about control. Control gain and adherence are not: control has arrived "
        f"once both have risen for certain above zero and above the base, {told}. Dots: "
        f"the first {samples} held-out scenes; dashed lines: all {count}. Band: standard error.",
        least=600,
    )
    if shipped is not None:
        page.heading("The ControlNets that come with the package")
        page.picture(
            shipped,
            "contact sheet: one condition, several prompts, for each shipped ControlNet",
            "One condition, several prompts: forms and places obey the condition; colours, floor and sky "
            "obey the words.",
            least=700,
        )
    page.heading("Try next")
    page.commands(next_steps)
    page.heading("How it was made")
    seconds = folder.seconds
    rows = [(key, str(value)) for key, value in settings.items()]
    rows += [(f"seconds: {stage}", f"{value:.0f}") for stage, value in seconds.items()]
    rows += [("seconds together", f"{sum(seconds.values()):.0f}")]
    rows += [(f"version: {name}", value) for name, value in result["versions"].items()]
    page.table(["", ""], rows)
    page.write(folder.page)
