"""The page of a run: what stands on it, when it is written, and that it holds nothing up."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from controlnet.training import Event, TrainingPlan, page, train
from controlnet.training.curves import MOST, Curve
from controlnet.training.folder import RunFolder
from controlnet.training.page import RunPage
from controlnet.training.page_view import shown, told
from tests.training.conftest import MakePlan

NET: Any = None


def plan_of(tmp_path: Path) -> TrainingPlan:
    data = {"source": "circles", "count": 10}
    return TrainingPlan.of({"name": "x", "data": data, "steps": 100, "out": str(tmp_path)})


def record(step: int, **more: float) -> dict[str, float]:
    return {"step": step, "loss": 0.5, "loss_band_2": 0.25, "lr": 1e-4, "grad_norm": 2.0, **more}


def feed(listener: RunPage, folder: Path, last: Event) -> str:
    measured = {"held_out_loss": 0.4, "gain": 0.125, "gain_error": 0.01}
    scored = {"adherence": 0.75, "adherence_of_base": 0.2, "adherence_gain": 0.55, "adherence_error": 0.01}
    listener(Event("begin", 0, 100, NET))
    for step in range(1, 11):
        listener(Event("step", step, 100, NET, record(step, **(measured if step % 5 == 0 else {}))))
    listener(Event("step", 11, 100, NET, record(11, **scored)))
    listener(Event("arrival", 11, 100, NET, {"step": 11, "arrived_at": 5}))
    sheet = folder / "sheet.png"
    Image.new("RGB", (64, 24), "red").save(sheet)
    listener(Event("preview", 11, 100, NET, path=sheet))
    listener(Event("save", 11, 100, NET, path=folder / "state" / "step-000011"))
    listener(last)
    return (folder / "index.html").read_text(encoding="utf-8")


def test_it_shows_figures_curves_arrival_pictures_plan_and_last_words(tmp_path: Path) -> None:
    listener = RunPage(plan_of(tmp_path), RunFolder(tmp_path))
    why = "the disk is full <here> & now"
    html = feed(listener, tmp_path, Event("stop", 11, 100, NET, {"why": why}))
    assert "Stopped after step 11 of 100" in html and "the disk is full &lt;here&gt; &amp; now" in html
    figures = ("+0.1250", "± 0.0100", "0.750", "base alone 0.200", "step 5", "step-000011")
    for text in (*figures, "prompt_dropout"):
        assert text in html, text
    titles = re.findall(r'aria-label="([^"]+) over the steps"', html)
    assert titles == [
        *("Loss", "Loss by band of timesteps", "Control gain", "Held-out loss", "Adherence"),
        *("Learning rate", "Norm of the gradient", "Steps per second"),
    ]
    assert html.count(">arrived<") == len(titles)
    assert html.count("data:image/jpeg;base64,") == 1 and "http-equiv" not in html
    links = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert all(link.startswith("data:") for link in links)  # nothing is fetched


def test_while_the_run_goes_it_loads_itself_anew(tmp_path: Path) -> None:
    listener = RunPage(plan_of(tmp_path), RunFolder(tmp_path))
    listener(Event("begin", 0, 100, NET))
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert 'http-equiv="refresh"' in html and "Running: step 0 of 100" in html


def test_it_is_written_seldom_however_fast_the_steps_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, writes = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    class Slow:
        def write(self, path: Path) -> None:
            writes.append(clock[0])
            clock[0] += 0.5

    monkeypatch.setattr(page, "written", lambda seen: Slow())
    listener = RunPage(plan_of(tmp_path), RunFolder(tmp_path))
    listener(Event("begin", 0, 100, NET))
    for step in range(1, 1101):
        clock[0] += 0.1
        listener(Event("step", step, 1000, NET, record(step)))
    assert writes[0] == 0 and len(writes) == 3  # half a second each: every fifty
    listener(Event("end", 1000, 1000, NET))
    assert len(writes) == 4


def test_a_page_that_cannot_be_written_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "EVERY", 0.0)
    monkeypatch.setattr(page, "SHARE", 1e9)
    (tmp_path / "index.html").mkdir()
    listener = RunPage(plan_of(tmp_path), RunFolder(tmp_path))
    for step in range(3):
        listener(Event("step", step, 100, NET, record(step)))
    assert caplog.text.count("cannot be written") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


def test_a_resumed_run_shows_what_was_before(make_plan: MakePlan) -> None:
    keys = ("watch.gain_every=2", "watch.preview_every=2", "watch.sample_steps=1", "watch.samples=2")
    train(make_plan(*keys, "steps=4"))
    before = len((make_plan().folder / "metrics.jsonl").read_text().splitlines())
    seen: list[tuple[list[float], list[int]]] = []
    write = RunPage._write

    def look(self: RunPage) -> None:
        steps = [step for step, _ in self._seen.curves["loss"].points]
        seen.append((steps, sorted(self._seen.previews)))
        write(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunPage, "_write", look)
        train(make_plan(*keys, "steps=6"), resume=True)
    assert before == 4 and seen[0] == ([1, 2, 3, 4], [2, 4]) and seen[-1] == ([1, 2, 3, 4, 5, 6], [2, 4, 6])


def test_it_changes_nothing_of_the_run(make_plan: MakePlan) -> None:
    runs = [train(make_plan("steps=3", f"watch.page={page}", out=page)) for page in ("true", "false")]
    metrics = {(run.folder / "metrics.jsonl").read_bytes() for run in runs}
    assert len(metrics) == 1
    assert [(run.folder / "index.html").exists() for run in runs] == [True, False]
    line = json.loads((runs[0].folder / "timing.jsonl").read_text().splitlines()[-1])
    assert 0 < line["watching"] <= line["seconds"]  # the gain was measured there


def test_a_curve_takes_little_memory_and_keeps_the_mean() -> None:
    curve, values = Curve(), [step % 7 + step / 1000 for step in range(8 * MOST)]
    for step, value in enumerate(values):
        curve.add(step, value)
    assert MOST / 2 <= len(curve.points) < MOST
    mean = sum(value for _, value in curve.points) / len(curve.points)
    assert mean == pytest.approx(sum(values) / len(values), rel=1e-3)
    assert [step for step, _ in curve.points] == sorted(step for step, _ in curve.points)
    assert curve.last == values[-1]
    smooth = Curve()
    for step in range(20):
        smooth.add(step, 3.0)
    assert [value for _, value in smooth.smooth()] == pytest.approx([3.0] * 20)


def test_few_of_many_sheets_are_shown_the_first_and_the_last_among_them() -> None:
    assert shown([1, 2], 8) == [1, 2]
    chosen = shown(list(range(0, 1000, 10)), 8)
    assert len(set(chosen)) == 8 and chosen[0] == 0 and chosen[-1] == 990 and chosen == sorted(chosen)


@pytest.mark.parametrize(
    ("seconds", "wanted"), [(3.2, "3 s"), (89, "89 s"), (600, "10 min"), (3600 * 26 + 59, "26 h 01 min")]
)
def test_times_are_told_as_people_do(seconds: float, wanted: str) -> None:
    assert told(seconds) == wanted
