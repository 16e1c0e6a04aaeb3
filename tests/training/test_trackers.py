"""What listeners make of a run's events."""

import io
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from controlnet.training import Event
from controlnet.training.trackers import ProgressBar, TensorBoard


def events() -> list[Event]:
    net: Any = None
    steps = [Event("step", step, 4, net, {"step": step, "loss": 1.0 / step}) for step in (3, 4)]
    measured = Event("step", 4, 4, net, {"step": 4, "loss": 0.5, "gain": 0.0125})
    return [Event("begin", 2, 4, net), *steps, measured, Event("save", 4, 4, net), Event("end", 4, 4, net)]


def test_the_bar_shows_where_the_run_is_and_its_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(
        "rich.console.Console", lambda stderr: Console(file=screen, force_terminal=True, width=120)
    )
    with ProgressBar() as bar:
        for event in events():
            bar(event)
    shown = screen.getvalue()
    assert "4/4" in shown and "loss 0.3" in shown and "gain +0.01250" in shown


def test_where_stderr_is_no_terminal_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar() as bar:
        for event in events():
            bar(event)
    assert capsys.readouterr() == ("", "")


def test_tensorboard_gets_every_number_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def __init__(self, folder: Path, purge_step: int | None) -> None:
            assert folder == tmp_path and purge_step == 3  # goes on after step 2

        def add_image(self, name: str, pixels: np.ndarray, step: int, dataformats: str) -> None:
            assert pixels.shape == (6, 8, 3) and dataformats == "HWC"
            written.append((name, 0.0, step))

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written.append((name, value, step))

        def flush(self) -> None:
            written.append(("flush", 0.0, 0))

    module = ModuleType("tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    Image.new("RGB", (8, 6)).save(tmp_path / "sheet.png")
    net: Any = None
    board = TensorBoard(tmp_path)
    board(Event("cache", 2, 4, net, {"done": 1, "total": 2}))
    for event in (*events(), Event("preview", 4, 4, net, path=tmp_path / "sheet.png")):
        board(event)
    assert written == [
        *(("loss", 1 / 3, 3), ("loss", 0.25, 4), ("loss", 0.5, 4), ("gain", 0.0125, 4)),
        *(("flush", 0.0, 0), ("flush", 0.0, 0), ("preview", 0.0, 4)),
    ]
