"""Listeners that show a run: a progress bar on the terminal, curves in TensorBoard."""

from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
from PIL import Image

from controlnet.errors import MissingExtra
from controlnet.training.events import Event

SHOWN: Final = {"gain": "+.5f", "adherence": ".3f"}  # on the bar, as last measured


class ProgressBar:
    """A bar with rate, time left, loss, gain and adherence, on stderr; none where that is no terminal.

    with ProgressBar() as bar:
        train(plan, on_event=bar)
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns = (
            *(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()),
            TextColumn("{task.fields[told]}"),
        )
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task: Any = None
        self._caching: Any = None
        self._loss: float | None = None
        self._measured: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Move the bar on."""
        if event.kind == "cache":
            done, total = event.record["done"], event.record["total"]
            if self._caching is None:
                self._caching = self._progress.add_task("caching", total=total, told="")
            self._progress.update(self._caching, completed=done, total=total)
        elif event.kind == "begin":
            self._task = self._progress.add_task("training", total=event.steps, completed=event.step, told="")
        elif event.kind == "step":
            loss = event.record["loss"]
            # One step's loss is mostly the luck of its timesteps: show the mean of about the last fifty.
            self._loss = loss if self._loss is None else self._loss + 0.02 * (loss - self._loss)
            self._measured |= {name: event.record[name] for name in SHOWN if name in event.record}
            measured = "".join(f"  {name} {value:{SHOWN[name]}}" for name, value in self._measured.items())
            speed = self._progress.tasks[self._task].speed
            rate = f"{speed:.2f} steps/s  " if speed else ""
            self._progress.update(
                self._task, completed=event.step, told=f"{rate}loss {self._loss:.4f}{measured}"
            )


class TensorBoard:
    """Writes each number of metrics.jsonl as a curve, and the contact sheets.

    Raises MissingExtra where TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MissingExtra(
                "watch.tensorboard is on and TensorBoard is not installed; pip install 'controlnet[train]'"
            ) from error
        self._make: Any = SummaryWriter
        self._folder = folder
        self._writer: Any = None

    def __call__(self, event: Event) -> None:
        """Add the numbers of a step or its contact sheet, and bring all to the disk at a state's."""
        if event.kind == "begin":
            # What a killed run has written beyond its state is hidden: the resumed run writes it again.
            self._writer = self._make(self._folder, purge_step=event.step + 1 if event.step else None)
        elif self._writer is None:
            return
        elif event.kind == "step":
            for name, value in event.record.items():
                if name != "step":
                    self._writer.add_scalar(name, value, event.step)
        elif event.kind == "preview" and event.path is not None:
            with Image.open(event.path) as sheet:
                self._writer.add_image(
                    "preview", np.asarray(sheet.convert("RGB")), event.step, dataformats="HWC"
                )
        elif event.kind in ("save", "end", "stop"):
            self._writer.flush()
