"""Runs in phases: what is connected and unlocked, from when on; and that a kill at a turn changes no bit."""

import json
import os
import shutil
import signal
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.errors import PlanError
from controlnet.training import Event, TrainingPlan, book, state, train, workshop
from controlnet.training.gain import Gain, GainMeter
from controlnet.training.workshop import Workshop
from tests.training.conftest import MakePlan
from tests.training.test_kill import Blow, after_record, before, die, named, status_of_child

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")

THREE = (
    "phases=[{connect: middle, until: {step: 2}}, {connect: all, lr: 5.0e-4, until: {step: 4}}, "
    "{unlock: decoder, lr: 2.0e-4}]"
)
KEYS = (THREE, "steps=6", "save.every=5", "save.keep=9", "optim.warmup=0", "watch.gain_every=3")
FILES = ("controlnet", "decoder", "ema", "ema_decoder", "optimizer")


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(values: Mapping[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    folder = tmp_path_factory.mktemp("phases")
    events: list[Event] = []
    train(TrainingPlan.of(values, [*KEYS, f"out={folder}"]), on_event=events.append)
    return folder, events


def test_each_phase_trains_what_it_says(run: tuple[Path, list[Event]], base: Base) -> None:
    folder, events = run
    middle, whole, last = (folder / f"state/step-{step:06d}" for step in (2, 4, 6))
    zeros = [
        {key.split(".")[1] for key in load_file(at / "controlnet.safetensors") if "zeros" in key}
        for at in (middle, whole)
    ]
    assert zeros[0] == {"middle"} and len(zeros[1]) == 13
    assert not (whole / "decoder.safetensors").exists()
    changed, was = load_file(last / "decoder.safetensors"), dict(base.network.state_dict())
    assert {key.split(".")[0] for key in changed} == {"up_blocks", "conv_norm_out", "conv_out"}
    assert all(tensor.dtype == torch.float32 for tensor in changed.values())
    moved = [not torch.equal(tensor, was[key]) for key, tensor in changed.items()]
    assert sum(moved) > 0.9 * len(moved)
    assert [line["lr"] for line in lines(folder) if "lr" in line and "loss" in line] == pytest.approx(
        [1e-3, 1e-3, 5e-4, 5e-4, 2e-4, 2e-4]
    )
    turns = [line for line in lines(folder) if line.get("event") == "another phase"]
    assert turns == [
        {
            **{"step": 2, "event": "another phase", "because": "step 2 is done"},
            **{"phase": 2, "connect": "all", "unlock": "nothing", "lr": 5e-4},
        },
        {
            **{"step": 4, "event": "another phase", "because": "step 4 is done"},
            **{"phase": 3, "connect": "all", "unlock": "decoder", "lr": 2e-4},
        },
    ]
    told = [(event.step, event.record["phase"]) for event in events if event.kind == "phase"]
    assert told == [(2, 2), (4, 3)]


def test_files_say_what_they_are(run: tuple[Path, list[Event]], base: Base) -> None:
    folder, _ = run
    about, decoder = (describe(folder / f"{name}.safetensors") for name in ("controlnet", "decoder"))
    assert about["settings"]["connect"] == "all" and about["metadata"]["phase"] == 3
    assert about["metadata"]["unlock"] == "decoder"
    assert about["base"]["fingerprint"] == decoder["base"]["fingerprint"] == base.fingerprint()
    assert about["base"]["decoder"] == decoder["fingerprint"] != ""
    middle = describe(folder / "state/step-000002/controlnet.safetensors")
    assert middle["settings"]["connect"] == "middle" and middle["metadata"]["phase"] == 1
    assert middle["base"]["decoder"] == ""
    # What is delivered is the running mean, of the decoder too.
    mean = load_file(folder / "state/step-000006/ema_decoder.safetensors")
    delivered = load_file(folder / "decoder.safetensors")
    own = load_file(folder / "state/step-000006/decoder.safetensors")
    assert all(torch.equal(mean[key], delivered[key]) for key in mean)
    assert any(not torch.equal(mean[key], own[key]) for key in mean)


def test_moments_stay_with_the_parameters_that_stay(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def moments(shop: Workshop) -> dict[str, Any]:
        held = shop.optimizer.state_dict()["state"]
        return {shop._names[index]: deepcopy(entries) for index, entries in held.items()}

    whole = Workshop.next_phase

    def spied(self: Workshop, place: Path) -> None:
        before = moments(self)
        whole(self, place)
        found.append((before, moments(self)))

    monkeypatch.setattr(Workshop, "next_phase", spied)
    train(make_plan(*KEYS))
    assert len(found) == 2
    for earlier, later in found:
        assert earlier.keys() == later.keys()  # the new ones have none until their first step
        for name, entries in earlier.items():
            assert all(
                torch.equal(torch.as_tensor(value), later[name][key]) for key, value in entries.items()
            )
    new = found[1][0].keys() - found[0][0].keys()
    assert new and all(name.startswith("zeros.skip") for name in new)
    assert {found[1][1][name]["step"].item() for name in new} == {2.0}  # counted from the turn


def test_the_base_alone_stays_the_one_that_was_loaded(make_plan: MakePlan) -> None:
    keys = ("watch.adherence=edge_f1", "watch.adherence_every=1", "watch.samples=2", "watch.sample_steps=2")
    phases = "phases=[{until: {step: 2}}, {unlock: decoder, lr: 1.0e-2}]"
    first = make_plan(phases, *keys, "steps=4", "ema.decay=null")
    train(first)
    scores = {line["adherence_of_base"] for line in lines(first.folder) if "adherence_of_base" in line}
    assert len(scores) == 1
    # Resumed within the unlocked phase, where it is drawn anew.
    shutil.rmtree(first.folder / "state/step-000004")
    (first.folder / "controlnet.safetensors").unlink()
    saved = (first.folder / "metrics.jsonl").read_bytes()
    train(first, resume=True)
    assert (first.folder / "metrics.jsonl").read_bytes() == saved


def before_note(at: int) -> Blow:
    """Die instead of noting a turn."""

    def arm() -> None:
        original = book.Book.note

        def note(self: book.Book, step: int, event: str, details: Mapping[str, Any]) -> None:
            if step == at:
                die()
            original(self, step, event, details)

        book.Book.note = note

    return arm


# In this order, each resumed from what the one before has left. States are at the turns 2 and 4, at 5 and 6.
BLOWS: dict[str, Blow] = {
    "before the first turn": after_record(1),
    "at it, not yet noted": before_note(2),
    "noted, not yet saved": before(workshop, "save_optimizer"),
    "saved, not yet in its place": before(Path, "rename", named("step-000002.part")),
    "the next phase being built": before(Workshop, "next_phase"),
    "after its first step": after_record(3),
    "at the second turn, not yet saved": before(state, "_to_disk", named("optimizer.safetensors")),
    "the decoder being unlocked": before(Workshop, "next_phase"),
    "after the first step with it": after_record(5),
    "the decoder being saved": before(Path, "rename", named("step-000006.part")),
}


@pytest.mark.slow
def test_killed_around_every_turn_and_resumed_is_as_never_killed(
    run: tuple[Path, list[Event]], values: Mapping[str, Any], tmp_path: Path
) -> None:
    plan = TrainingPlan.of(values, [*KEYS, f"out={tmp_path}"])
    for moment, arm in BLOWS.items():
        status = status_of_child(lambda arm=arm: (arm(), train(plan, resume=True)))
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, moment
    train(plan, resume=True)
    unbroken, _ = run
    assert (tmp_path / "metrics.jsonl").read_bytes() == (unbroken / "metrics.jsonl").read_bytes()
    names = [*(f"state/step-000006/{name}.safetensors" for name in FILES)]
    for name in (*names, "controlnet.safetensors", "decoder.safetensors"):
        mine, its = load_file(tmp_path / name), load_file(unbroken / name)
        assert mine.keys() == its.keys() and len(mine) > 20
        assert all(mine[key].numpy().tobytes() == its[key].numpy().tobytes() for key in mine), name


def test_a_run_that_is_lengthened_beyond_a_turn_turns_in_time(
    run: tuple[Path, list[Event]], values: Mapping[str, Any], tmp_path: Path
) -> None:
    for steps in (2, 4, 6):  # each the last step of a phase
        keys = [*KEYS, f"steps={steps}", f"out={tmp_path}"]
        train(TrainingPlan.of(values, keys), resume=True)
    for name in ("controlnet.safetensors", "decoder.safetensors"):
        mine, its = load_file(tmp_path / name), load_file(run[0] / name)
        assert all(torch.equal(mine[key], its[key]) for key in its), name


def test_reconnected_when_control_has_arrived(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(GainMeter, "measure", lambda self, net: Gain(0.5, 0.1, 1.0))
    phases = "phases=[{connect: middle, until: arrival}, {connect: all}]"
    plan = make_plan(phases, "watch.gain_every=1", "steps=5")
    result = train(plan)
    turns = [line for line in lines(plan.folder) if line.get("event") == "another phase"]
    assert [(line["step"], line["because"]) for line in turns] == [(3, "control has arrived at step 1")]
    assert load_controlnet(result.weights).settings.connect == "all"


def test_unlocked_in_half_precision_the_decoder_is_kept_in_full(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Larger, as a CPU's bfloat16 convolutions now and then give NaN on maps of one pixel (torch 2.13).
    keys = ("precision=bf16", "data.size=128", "watch.gain_every=1", "ema.decay=null", "optim.warmup=0")
    phases = "phases=[{until: {step: 1}}, {unlock: decoder, lr: 1.0e-6}]"
    plan = make_plan(*keys, phases, "steps=3")
    train(plan)
    own = load_file(plan.folder / "decoder.safetensors")
    base = load_base(plan.base)
    was = base.backbone.decoder(base.network)
    steps = torch.cat([(own[key] - was[key]).flatten() for key in own]).abs()
    assert 0 < steps.max().item() < 1e-5 and (steps > 0).float().mean() > 0.5
    assert all("gain" in line for line in lines(plan.folder) if "loss" in line)


def test_another_run_goes_on_with_its_decoder(run: tuple[Path, list[Event]], make_plan: MakePlan) -> None:
    """From the folder of a run that is finished, locked and unlocked."""
    folder, _ = run
    for number, phases in enumerate(("phases=[]", "phases=[{unlock: decoder, lr: 1.0e-12}]")):
        keys = ("optim.lr=1e-12", "optim.weight_decay=0", phases, "steps=1", "ema.decay=null")
        after = train(make_plan(f"control.start_from={folder}", *keys, out=f"on{number}"))
        for name in ("controlnet.safetensors", "decoder.safetensors"):
            old, new = load_file(folder / name), load_file(after.folder / name)
            assert all(torch.allclose(old[key], new[key], atol=1e-6) for key in old), name
        locked = load_file(after.folder / "decoder.safetensors")
        same = all(torch.equal(locked[k], v) for k, v in load_file(folder / "decoder.safetensors").items())
        assert same == (number == 0)


def test_a_run_that_is_not_finished_gives_what_it_would_deliver(
    run: tuple[Path, list[Event]], make_plan: MakePlan, tmp_path: Path
) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(run[0] / "state/step-000004", cut / "state/step-000004")
    after = train(make_plan(f"control.start_from={cut}", "optim.lr=1e-12", "steps=1", "ema.decay=null"))
    old, new = (load_file(cut / "state/step-000004/ema.safetensors"), load_file(after.weights))
    assert all(torch.allclose(old[key], new[key], atol=1e-6) for key in old)


@pytest.mark.parametrize("form", ["diffusers", "diffusers_file", "ldm"])
def test_starting_from_a_published_layout(make_plan: MakePlan, base: Base, tmp_path: Path, form: str) -> None:
    from controlnet.core.controlnet import ControlNet

    net = ControlNet.from_base(base)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * 0.01)
    place = tmp_path / ("published" if form == "diffusers" else "published.safetensors")
    save_controlnet(net, place, form)
    keys = ("control.hint=published", "optim.lr=1e-12", "steps=1", "ema.decay=null")
    new = load_file(train(make_plan(f"control.start_from={place}", *keys)).weights)
    assert all(torch.allclose(value, new[key], atol=1e-6) for key, value in net.state_dict().items())


def test_a_start_that_has_more_than_the_first_phase_wants(
    run: tuple[Path, list[Event]], make_plan: MakePlan
) -> None:
    keys = ("phases=[{connect: middle, until: arrival}, {connect: all}]", f"control.start_from={run[0]}")
    with pytest.raises(PlanError, match=r"control\.connect is 'middle' and the checkpoint's 'all'"):
        train(make_plan(*keys))
