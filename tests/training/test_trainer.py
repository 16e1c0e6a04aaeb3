"""A run from end to end: what it leaves, what it says, how it stops."""

import json
import logging
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from controlnet.backbones import Base
from controlnet.checkpoints import describe, load_controlnet
from controlnet.errors import MissingExtra, PlanError, TrainingStopped, UnknownName
from controlnet.training import Event, TrainingPlan, layout, train, workshop
from tests.training.conftest import MakePlan


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def finished(
    values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Event], Any]:
    folder = tmp_path_factory.mktemp("finished")
    events: list[Event] = []
    watch = ("adherence=edge_f1", "adherence_every=2", "preview_every=3", "samples=2", "sample_steps=2")
    plan = TrainingPlan.of(values, [f"out={folder}", "steps=4", *(f"watch.{key}" for key in watch)])
    return folder, events, train(plan, on_event=events.append)


def test_the_folder_holds_all_that_it_should(finished: tuple[Path, list[Event], Any]) -> None:
    folder, _, _ = finished
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == [
        *("controlnet.safetensors", "index.html", "metrics.jsonl", "plan.yaml"),
        *("previews/step-000003.png", "previews/step-000004.png", "result.json"),
        *(f"state/step-{step}/{name}" for step in ("000002", "000004") for name in STATE),
        "timing.jsonl",
    ]


STATE = ("controlnet.safetensors", "ema.safetensors", "optimizer.safetensors", "state.json")


def test_metrics_have_a_line_for_each_step_and_nothing_of_the_clock(
    finished: tuple[Path, list[Event], Any],
) -> None:
    found = lines(finished[0])
    assert [line["step"] for line in found] == [1, 2, 3, 4]
    assert [line["lr"] for line in found] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])
    assert all(line["loss"] > 0 and line["grad_norm"] > 0 for line in found)
    gains, scores = ([line["step"] for line in found if key in line] for key in ("gain", "adherence"))
    assert gains == [3, 4] and scores == [2, 4]
    assert not any("second" in key or "time" in key for line in found for key in line)


def test_the_result_sums_it_up(finished: tuple[Path, list[Event], Any]) -> None:
    folder, _, result = finished
    written, last = json.loads((folder / "result.json").read_text()), lines(folder)[-1]
    assert result.values() == written
    for key in ("loss", "held_out_loss", "gain", "gain_error", "adherence", "adherence_of_base"):
        assert written[key] == last[key]
    assert written["steps"] == 4 and written["seconds"] > 0 and written["arrived_at"] is None
    assert written["versions"]["torch"] == torch.__version__


def test_events_come_in_order(finished: tuple[Path, list[Event], Any]) -> None:
    _, events, result = finished
    told = [(event.kind, event.step) for event in events]
    assert told == [
        *(("begin", 0), ("step", 1), ("step", 2), ("save", 2), ("step", 3), ("preview", 3)),
        *(("step", 4), ("preview", 4), ("save", 4), ("end", 4)),
    ]
    assert all(event.path is None or event.path.exists() for event in events)
    assert events[-1].path == result.weights


def test_a_preview_shows_condition_sample_and_truth(finished: tuple[Path, list[Event], Any]) -> None:
    from controlnet.data.circles import draw

    with Image.open(finished[0] / "previews/step-000004.png") as sheet:
        pixels = np.asarray(sheet)
    assert pixels.shape == (3 * 32, 2 * 32, 3)
    source, target, _ = draw(0, 10, size=32)  # the first of the held-out, mirrored or not
    assert any(np.array_equal(pixels[:32, :32], each) for each in (source, source[:, ::-1]))
    assert any(np.array_equal(pixels[64:, :32], each) for each in (target, target[:, ::-1]))


def test_the_weights_are_the_running_mean_and_say_how_they_were_made(
    finished: tuple[Path, list[Event], Any], base: Base
) -> None:
    folder, _, _ = finished
    mean, own = (
        load_file(folder / "state/step-000004" / f"{name}.safetensors") for name in ("ema", "controlnet")
    )
    delivered = load_controlnet(folder / "controlnet.safetensors", base).state_dict()
    assert all(torch.equal(delivered[key], mean[key]) for key in delivered)
    assert any(not torch.equal(own[key], mean[key]) for key in own)
    made = describe(folder / "controlnet.safetensors")["metadata"]
    assert made["step"] == 4
    assert TrainingPlan.of(made["plan"]) == TrainingPlan.load(folder / "plan.yaml", ["out=null"])


def test_the_base_stays_as_it_was(base: Base, make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    before = base.fingerprint()
    monkeypatch.setattr(workshop, "load_base", lambda source: base)
    train(make_plan("steps=2", "watch.gain_every=0"))
    assert base.fingerprint() == before and not any(p.requires_grad for p in base.network.parameters())


def test_a_taken_folder_is_refused_and_a_finished_run_can_go_on_for_longer(make_plan: MakePlan) -> None:
    plan = make_plan("steps=2", "watch.gain_every=0")
    first = train(plan)
    with pytest.raises(PlanError, match="--resume"):
        train(plan)
    weights = load_file(first.weights)
    again = load_file(train(plan, resume=True).weights)
    assert all(torch.equal(weights[key], again[key]) for key in weights)
    longer = train(make_plan("steps=3", "watch.gain_every=0"), resume=True)
    assert longer.steps == 3
    assert [line["step"] for line in lines(plan.folder)] == [1, 2, 2, 3]
    assert lines(plan.folder)[2] == {"step": 2, "event": "the plan was changed", "steps": [2, 3]}
    with pytest.raises(PlanError, match="come to step 3 and the plan ends at 2"):
        train(plan, resume=True)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_ends_the_run_with_its_state_saved(make_plan: MakePlan, number: int, name: str) -> None:
    plan = make_plan("save.every=100", "watch.gain_every=0")
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(TrainingStopped, match=rf"stopped by {name} after step 3 of 7, .*plan\.yaml --resume"):
        train(
            plan,
            on_event=lambda event: event.kind == "step" and event.step == 3 and os.kill(os.getpid(), number),
        )
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert [path.name for path in (plan.folder / "state").iterdir()] == ["step-000003"]
    assert train(plan, resume=True).steps == 7


def test_the_second_ctrl_c_does_not_wait(make_plan: MakePlan) -> None:
    def twice(event: Event) -> None:
        if event.kind == "step":
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(make_plan(), on_event=twice)


@pytest.mark.parametrize(
    ("broken_at", "told"), [(4, r"state/step-000002: --resume goes on there"), (1, "start anew")]
)
def test_a_loss_that_is_no_number_ends_the_run(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, broken_at: int, told: str
) -> None:
    plan, whole = make_plan("watch.gain_every=0"), workshop.control_loss
    count = 0

    def broken(*given: Any) -> torch.Tensor:
        nonlocal count
        count += 1
        loss = whole(*given)
        return loss * float("nan") if count > 2 * (broken_at - 1) else loss

    monkeypatch.setattr(workshop, "control_loss", broken)
    with pytest.raises(TrainingStopped, match=rf"at step {broken_at} the loss is nan .*{told}"):
        train(plan)
    assert [line["step"] for line in lines(plan.folder)] == list(range(1, broken_at))
    if broken_at > 1:
        monkeypatch.setattr(workshop, "control_loss", whole)
        train(make_plan("watch.gain_every=0", "optim.lr=1e-4"), resume=True)
        assert lines(plan.folder)[-1]["step"] == 7


def test_accumulated_passes_are_one_step_along_the_mean_gradient(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three equal passes must give the gradient of one of them."""
    draw = workshop.Draws.of
    monkeypatch.setattr(workshop.Draws, "of", lambda *given: draw(*given[:-1], part=0))
    monkeypatch.setattr(workshop.Workshop, "run_pass", same_batch(workshop.Workshop.run_pass))
    runs = [
        train(make_plan("steps=1", f"optim.accumulation={n}", "optim.clip=null", out=f"n{n}")) for n in (1, 3)
    ]
    one, three = (lines(run.folder)[0] for run in runs)
    assert three["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert three["grad_norm"] == pytest.approx(one["grad_norm"], rel=1e-4)


def same_batch(run_pass: Any) -> Any:
    first: dict[int, Any] = {}
    return lambda self, batch, step, part: run_pass(self, first.setdefault(id(self), batch), step, part)


def test_the_cache_changes_no_bit(make_plan: MakePlan) -> None:
    runs = [train(make_plan(f"data.cache={cache}", "steps=3", out=cache)) for cache in ("memory", "none")]
    metrics = {(run.folder / "metrics.jsonl").read_bytes() for run in runs}
    weights = [load_file(run.weights) for run in runs]
    assert len(metrics) == 1
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_recomputed_activations_give_the_same_gradient(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train(make_plan("steps=2", "watch.gain_every=0", out="plain"))
    calls, checkpoint = [], layout.checkpoint
    counted = lambda *given, **named: calls.append(1) or checkpoint(*given, **named)  # noqa: E731
    monkeypatch.setattr(layout, "checkpoint", counted)
    frugal = train(make_plan("steps=2", "watch.gain_every=0", "optim.checkpointing=true", out="frugal"))
    for one, other in zip(lines(plain.folder), lines(frugal.folder), strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    assert calls
    with pytest.raises(PlanError, match="LiteCopy cannot recompute"):
        train(make_plan("optim.checkpointing=true", "control.copy=lite", out="lite"))


def test_starting_from_a_checkpoint(make_plan: MakePlan) -> None:
    first = train(make_plan("steps=2", "watch.gain_every=0", out="first"))
    second = train(
        make_plan("steps=1", f"control.start_from={first.weights}", "optim.lr=1e-12", out="second")
    )
    old, new = load_file(first.weights), load_file(second.weights)
    assert all(torch.allclose(old[key], new[key], atol=1e-6) for key in old)
    with pytest.raises(PlanError, match=r"control\.hint is 'paper' and the checkpoint's 'unshuffle'"):
        train(make_plan(f"control.start_from={first.weights}", "control.hint=paper", out="third"))


def test_the_middle_alone_can_be_trained_and_linked_later(make_plan: MakePlan) -> None:
    small = train(make_plan("steps=1", "control.connect=middle", "watch.gain_every=0", out="middle"))
    whole = train(
        make_plan("steps=1", f"control.start_from={small.weights}", "watch.gain_every=0", out="all")
    )
    zeros = [
        {key.split(".")[1] for key in load_file(run.weights) if key.startswith("zeros")}
        for run in (small, whole)
    ]
    assert zeros[0] == {"middle"} and len(zeros[1]) == 13


@pytest.mark.parametrize("lost", ["watch.adherence=edge_f2", "data.condition=cany"])
def test_wrong_names_come_out_before_the_first_step(make_plan: MakePlan, lost: str) -> None:
    with pytest.raises(UnknownName):
        train(make_plan(lost))


def test_tensorboard_that_is_not_there(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(MissingExtra, match=r"controlnet\[train\]"):
        train(make_plan("watch.tensorboard=true"))


def test_arrival_is_reported_everywhere(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from controlnet.training.gain import Gain, GainMeter

    monkeypatch.setattr(GainMeter, "measure", lambda self, net: Gain(0.5, 0.1, 1.0))
    events: list[Event] = []
    with caplog.at_level(logging.INFO):
        result = train(make_plan("watch.gain_every=2"), on_event=events.append)
    arrival = {"arrived_at": 2, "gain_rose_at": 2, "adherence_rose_at": None}
    assert {"step": 6, "event": "control has arrived", **arrival} in lines(result.folder)
    assert [(event.step, dict(event.record)) for event in events if event.kind == "arrival"] == [
        (6, {"step": 6, **arrival})
    ]
    assert result.arrived_at == 2 and "control has arrived at step 2" in caplog.text
