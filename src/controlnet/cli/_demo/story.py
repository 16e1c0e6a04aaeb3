"""The demo from beginning to end: render, look at the base, train, compare, show."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from controlnet.backbones import Base, load_base
from controlnet.checkpoints.shipped import shipped
from controlnet.cli._comparing import Comparison, Scored, edge_scores
from controlnet.cli._demo.course import Course, Narrator
from controlnet.cli._demo.folder import Folder
from controlnet.cli._demo.gallery import MOST, PROMPTS, gallery
from controlnet.cli._demo.page import Findings, percent, save_picture, write_page
from controlnet.cli._demo.scenes import holds, render_set
from controlnet.cli._memory import keep_freed_memory
from controlnet.cli._progress import progress
from controlnet.errors import TrainingStopped
from controlnet.files import whole
from controlnet.training import Event, TrainingPlan, train
from controlnet.training.trackers import ProgressBar

Say = Callable[[str], None]

STAGES: Final = 5


@dataclass(frozen=True)
class Demo:
    """A demo about to be run: its folder, its plan, how many scenes of which world, and how it speaks."""

    folder: Folder
    plan: TrainingPlan
    world: int
    scenes: int
    settings: Mapping[str, Any]
    command: str
    say: Say

    def run(self) -> Findings:
        """Do all stages, those that are done already quickly or not at all."""
        keep_freed_memory()
        base = self._render()
        with self.folder.timed("before"):
            comparison = Comparison(self.plan, base, edge_scores)
            prompt_only, ceiling = self._before(comparison)
        with self.folder.timed("training"):
            self._train()
        with self.folder.timed("after"):
            course = Course.of(self.folder.training)
            trained, ready = self._after(comparison, Path(course.result["weights"]))
        findings = Findings(comparison, course, prompt_only, trained, ready, ceiling)
        with self.folder.timed("show"):
            self._show(base, findings)
        self.folder.finish()
        return findings

    def next_steps(self) -> list[str]:
        """Give commands to try next, ready to be copied."""
        number = self.scenes  # the first held-out scene
        edges = self.folder.data / "conditioning" / f"{number:08d}.png"
        scene = '"a purple sphere and a green cone on a snow floor under a sunset sky"'
        weights = self.folder.training / "controlnet.safetensors"
        how = f"{edges},mode=unbalanced --guidance 3"
        lines = [f"controlnet sample {scene} --control {weights}={how} --out mine.png"]
        if "canny" in shipped():
            lines.append(f"controlnet sample {scene} --control canny={how} --out canny.png")
        return [
            *lines,
            "controlnet annotate canny photo.jpg --out map.png",
            f"controlnet train {self.folder.training}/plan.yaml --resume --set steps={2 * self.plan.steps}",
        ]

    def _render(self) -> Base:
        total = self.scenes + self.plan.data.held_out
        with self.folder.timed("render"):
            self._stage(1, f"{total:,} scenes of the embedded world, with captions and canny edges")
            base = load_base(self.plan.base)
            size = self.plan.data.size or base.sample_size
            spec = self.settings["condition"]
            with progress("      rendering", total - holds(self.folder.data), "scenes") as advance:
                steps = render_set(self.folder.data, self.world, total, size, spec)
                next(steps)
                for _ in steps:
                    advance(1)
        return base

    def _before(self, comparison: Comparison) -> tuple[Scored, Scored]:
        self._stage(
            2, f"before training: {len(comparison)} held-out scenes, by prompt alone and at the ceiling"
        )
        equal = comparison.starts_as_the_base()
        self.say(f"      an untrained ControlNet changes nothing, bit for bit: {'yes' if equal else 'NO'}")
        with progress("      sampling", len(comparison), "pictures") as advance:
            prompt_only = comparison.sample(None, advance)
        ceiling = comparison.ceiling()
        self.say(f"      edge F1: prompt only {prompt_only.mean:.3f}, ceiling {ceiling.mean:.3f}")
        return prompt_only, ceiling

    def _train(self) -> None:
        folder = self.folder.training
        if (folder / "result.json").is_file():
            self._stage(3, f"{self.plan.steps} training steps: done before")
            return
        self._stage(
            3, f"{self.plan.steps} training steps of {self.plan.optim.batch}, from nothing, the base locked"
        )
        narrate = Narrator(self.say)
        with ProgressBar() as bar:

            def listen(event: Event) -> None:
                bar(event)
                narrate(event)

            try:
                result = train(self.plan, resume=(folder / "state").is_dir(), on_event=listen)
            except TrainingStopped as error:
                raise TrainingStopped(f"{error}; the whole demo goes on with: {self.command}") from error
        arrived = (
            "has not arrived for certain"
            if result.arrived_at is None
            else f"arrived at step {result.arrived_at}"
        )
        self.say(f"      control {arrived}")

    def _after(self, comparison: Comparison, weights: Path) -> tuple[Scored, Scored | None]:
        ready = "canny" if "canny" in shipped() and self.plan.base == "shapes" else None
        what = "the ControlNet trained here" + (" and the shipped one" if ready else "")
        self._stage(4, f"the same scenes with {what}")
        with progress("      sampling", len(comparison) * (2 if ready else 1), "pictures") as advance:
            trained = comparison.sample(weights, advance)
            return trained, comparison.sample(ready, advance) if ready else None

    def _show(self, base: Base, findings: Findings) -> None:
        self._stage(5, "pictures and page")
        names = shipped()[:MOST] if self.plan.base == "shapes" else ()
        image = None
        if names:
            with progress("      sampling", len(names) * PROMPTS, "pictures") as advance:
                steps = self.plan.watch.sample_steps
                image = gallery(base, names, self.world, self.scenes, self.plan.seed, steps, advance)
            save_picture(image, self.folder.shipped)
        metrics = {"settings": dict(self.settings), "seconds": self.folder.seconds} | findings.metrics()
        with whole(self.folder.metrics) as part:
            part.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")
        lead = (
            f"{self.plan.steps} steps of {self.plan.optim.batch} scenes each, beginning with zero "
            "convolutions on a locked base; they closed "
            f"{percent(findings.closed(findings.trained))} of the distance from prompt only to the ceiling."
        )
        write_page(self.folder, findings, image, lead, self.next_steps(), self.settings)

    def _stage(self, number: int, what: str) -> None:
        self.say(f"{number}/{STAGES}   {what}")
