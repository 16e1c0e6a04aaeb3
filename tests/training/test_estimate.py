"""The estimate of memory: its rehearsal against what the allocator gives out, its parts, and the mends."""

import logging
import re
from pathlib import Path

import pytest
import torch

from benchmarks.training_step import peak
from controlnet.backbones import Base, load_base
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet
from controlnet.core.settings import ControlSettings
from controlnet.errors import PlanError
from controlnet.training import TrainingPlan, train
from controlnet.training.engine import DTYPES
from controlnet.training.estimate import Estimate, Estimator, mends
from controlnet.training.layout import recompute_activations
from controlnet.training.ledger import Ledger
from controlnet.training.rehearsal import Rehearsal, ghost
from controlnet.training.room import fits, room_of, weigh
from controlnet.training.step import Inputs, control_loss
from tests.training.conftest import MakePlan

CPU = torch.device("cpu")
SIZE, BATCH = 64, 3


def taken(folder: Path, plan: TrainingPlan) -> int:
    """Return the most bytes that the allocator gives out during a pass forwards and backwards."""
    base = load_base(folder)
    net = ControlNet.from_base(base, hint="unshuffle").train()
    base.to(dtype=DTYPES[plan.engine.base or plan.precision])
    recompute_activations(net, base.network, plan.optim.checkpointing)
    context = base.encode_prompts(["a"] * BATCH)

    def step() -> None:
        net.zero_grad()
        latents = torch.randn(BATCH, 4, SIZE // 8, SIZE // 8)
        inputs = Inputs(latents, context, torch.rand(BATCH, 3, SIZE, SIZE))
        half = torch.autocast("cpu", DTYPES[plan.precision], enabled=plan.precision != "fp32")

        def called(*given):  # type: ignore[no-untyped-def]
            with half:
                return net(*given)

        t = torch.tensor([1, 500, 900])
        control_loss(base, called, inputs, torch.randn_like(latents), t).mean().backward()

    return peak(step)


@pytest.mark.parametrize(
    ("keys", "within"),
    [
        ((), 0.05),
        (("optim.checkpointing=true",), 0.1),
        (("optim.checkpointing=copy",), 0.05),
        (("precision=bf16",), 0.1),
        (("engine.base=bf16",), 0.1),
    ],
    ids=lambda value: str(value),
)
def test_a_rehearsed_step_keeps_what_a_step_keeps(
    base_folder: Path, make_plan: MakePlan, keys: tuple[str, ...], within: float
) -> None:
    plan = make_plan(*keys)
    seen = Rehearsal(load_base(base_folder), ControlSettings(hint="unshuffle"))(plan, "cpu", BATCH, SIZE)
    assert seen.step == pytest.approx(taken(base_folder, plan), rel=within)
    assert 0 < seen.activations <= seen.step <= seen.activations + seen.net


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_decoder_that_is_trained_along_counts(base: Base, make_plan: MakePlan, precision: str) -> None:
    rehearse = Rehearsal(base, ControlSettings(hint="unshuffle"))
    phases = "phases=[{until: {step: 2}}, {unlock: decoder, lr: 2.0e-6}]"
    locked = rehearse(make_plan(f"precision={precision}"), "cpu", BATCH, SIZE)
    unlocked = rehearse(make_plan(f"precision={precision}", phases), "cpu", BATCH, SIZE)
    decoder = 4 * sum(p.numel() for p in base.backbone.decoder(base.network).values())
    assert locked.trained == locked.net and unlocked.trained == locked.net + decoder
    assert unlocked.step > locked.step and unlocked.drawing >= locked.drawing
    parts = [
        Estimator(base, ControlSettings(), "cpu")(make_plan(keys)).parts for keys in ("phases=[]", phases)
    ]
    for name in ("gradients", "optimizer"):
        assert parts[1][name] > parts[0][name]


def test_the_base_stays_as_it_was(base: Base, make_plan: MakePlan) -> None:
    before = base.fingerprint()
    weigh(make_plan("optim.checkpointing=true"), base, CPU)
    assert base.fingerprint() == before and base.dtype == torch.float32
    assert not any(getattr(m, "gradient_checkpointing", False) for m in base.network.modules())
    copy = ghost(base.network, torch.bfloat16)
    assert {p.device.type for p in copy.parameters()} == {"meta"}
    assert sum(p.numel() for p in copy.parameters()) == sum(p.numel() for p in base.network.parameters())


def test_a_ledger_counts_what_lives_at_one_time_and_no_view_twice() -> None:
    there = torch.empty(1000, device="meta")
    with Ledger([there]) as ledger:
        first = torch.zeros(500, device="meta")
        second = first + 1
        del first
        third = second.view(5, 100).t() * 2
        view = there[:10]
    assert ledger.most == 4000 and ledger.now == 4000
    del second, third, view
    assert ledger.now == 0


def parts(base: Base, plan: TrainingPlan, device: str = "cpu", world: int = 1) -> dict[str, float]:
    return dict(Estimator(base, ControlSettings(hint="unshuffle"), device, world)(plan).parts)


def test_each_key_changes_its_own_part(base: Base, make_plan: MakePlan) -> None:
    plain = parts(base, make_plan("ema.decay=null"))
    net = sum(p.numel() * 4 for p in ControlNet.from_base(base, hint="unshuffle").parameters())
    assert plain["ControlNet"] == plain["gradients"] == net and plain["optimizer"] == 2 * net
    assert plain["running mean"] == plain["previews"] == 0
    assert parts(base, make_plan())["running mean"] == net
    eight = parts(base, make_plan("ema.decay=null", "optim.kind=adamw8bit"))
    assert net / 2 < eight["optimizer"] < 0.6 * net
    half = parts(base, make_plan("ema.decay=null", "engine.base=bf16"))
    assert half["base"] == plain["base"] / 2 and half["ControlNet"] == net
    again = parts(base, make_plan("ema.decay=null", "optim.checkpointing=true"))
    assert again["activations"] < 0.8 * plain["activations"]
    divided = parts(base, make_plan("ema.decay=null", "engine.shard=true"), world=2)
    assert divided["ControlNet"] == divided["gradients"] == net / 2 and divided["optimizer"] == net
    assert parts(base, make_plan("watch.preview_every=5"))["previews"] > 0


ALL = "--set optim.batch=1 --set optim.accumulation=16 --set optim.checkpointing=true"


LESS = "--set optim.batch=1 --set optim.accumulation=16"


def sized(plan: TrainingPlan) -> Estimate:
    """Estimate by a formula in place of a rehearsal."""
    again = {False: 1.0, "copy": 0.8, "base": 0.9, True: 0.5}[plan.optim.checkpointing]
    return Estimate({}, {"a step is computed": (5 + plan.optim.batch * again) * 1e9}, "cpu")


@pytest.mark.parametrize(
    ("memory", "told"),
    [
        (12.0, "needs about 13.0 GB and engine.memory has 12.0 GB; --set optim.batch=4 --set "),
        (8.0, "--set optim.batch=2 --set optim.accumulation=8 makes it 7.0 GB"),
        (5.9, f"; {LESS} --set optim.checkpointing=copy makes it 5.8 GB"),
        (5.0, f"even {LESS} --set optim.checkpointing=true makes it 5.5 GB: train at a smaller data.size"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_cheapest_mend(
    make_plan: MakePlan, memory: float, told: str
) -> None:
    plan = make_plan("optim.batch=8", f"engine.memory={memory}")
    with pytest.raises(PlanError, match=re.escape(told)):
        fits(plan, sized, CPU)
    assert fits(plan.override(["engine.memory=13"]), sized, CPU) == sized(plan)


def test_mends_suit_the_device_and_are_plans(make_plan: MakePlan) -> None:
    plan = make_plan("optim.batch=8", "optim.fused=false")
    told = list(mends(plan, "cuda", world=2))
    assert told[:2] == [("optim.fused=true",), ("engine.shard=true",)]
    assert ("optim.kind=adamw8bit",) in told
    assert not any("batch=1" in change for changes in told for change in changes)  # two processes
    assert all(plan.override(changes) for changes in told)


def test_where_others_use_the_memory_there_is_a_warning(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("controlnet.training.room.room_of", lambda device: (1e12, 1e6))
    with caplog.at_level(logging.WARNING, logger="controlnet"):
        assert fits(make_plan(), sized, CPU) == sized(make_plan())
    assert "are free; end what else uses it, or" in caplog.text


def test_this_machine_says_what_it_has() -> None:
    if (room := room_of(CPU)) is None:
        pytest.skip("no /proc/meminfo here")
    assert 1e8 < room[1] <= room[0]


def test_a_run_that_is_weighed_says_so_first(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan("steps=1", "watch.gain_every=0")
    with caplog.at_level(logging.INFO, logger="controlnet"):
        train(plan, weighs=True)
    assert "this plan needs about" in caplog.text and "optimizer" in caplog.text
    monkeypatch.setattr("controlnet.training.room.mends", lambda *given: [])
    with pytest.raises(PlanError, match=r"engine\.memory has"):
        train(make_plan("engine.memory=0.001", out="other"), weighs=True)


def test_the_command_line_estimates_without_running(
    make_plan: MakePlan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(make_plan().to_yaml())
    assert main(["train", str(path), "--estimate"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("this plan needs about 0.6 GB on cpu") and "activations" in told
    assert not (tmp_path / "run").exists()
