"""Precisions, layouts and recomputed activations: what they change is rounding, or nothing."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from controlnet.backbones import Base, load_base
from controlnet.core.controlnet import ControlNet
from controlnet.errors import MissingExtra, PlanError, TrainingStopped
from controlnet.training import TrainingPlan, optim, train
from controlnet.training.engine import Engine, engine_of
from controlnet.training.layout import Recomputed, channels_last, compile_blocks, recompute_activations
from controlnet.training.sections import Optim
from controlnet.training.state import load_optimizer, moments_of, save_optimizer
from controlnet.training.step import Inputs, control_loss
from controlnet.training.workshop import Workshop
from tests.training.conftest import MakePlan

QUICK = ("steps=3", "watch.gain_every=0", "data.flip=false")
# A CPU's bfloat16 convolutions now and then give NaN gradients on maps of one pixel (torch 2.13).
LARGE = (*QUICK, "data.size=64")


def weights(plan: TrainingPlan) -> dict[str, torch.Tensor]:
    return load_file(train(plan).weights)


def drift(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    return max((one[key] - other[key]).abs().max().item() for key in one)


def gradients(base: Base, which: Recomputed) -> tuple[list[torch.Tensor], dict[str, int]]:
    """Return the gradients of a step, and how often the first block of each network has run."""
    torch.manual_seed(0)
    net = ControlNet.from_base(base, hint="unshuffle", init="gaussian").train()
    recompute_activations(net, base.network, which)
    counts = {"copy": 0, "base": 0}
    firsts: dict[str, Any] = {"copy": net.copy.down_blocks[0], "base": base.network.up_blocks[-1]}  # type: ignore[index]
    for name, block in firsts.items():
        block.resnets[0].register_forward_pre_hook(
            lambda *_, name=name: counts.update({name: counts[name] + 1})
        )
    inputs = Inputs(torch.randn(2, 4, 8, 8), base.encode_prompts(["a", ""]), torch.rand(2, 3, 64, 64))
    control_loss(base, net, inputs, torch.randn(2, 4, 8, 8), torch.tensor([100, 900])).mean().backward()
    found = [p.grad for p in net.parameters() if p.grad is not None]
    assert len(found) == len(list(net.parameters()))
    return found, counts


@pytest.mark.parametrize(
    ("which", "runs"),
    [("copy", {"copy": 2, "base": 1}), ("base", {"copy": 1, "base": 2}), (True, {"copy": 2, "base": 2})],
)
def test_recomputed_activations_give_the_same_gradients_bit_for_bit(
    base_folder: Path, which: Recomputed, runs: dict[str, int]
) -> None:
    kept, once = gradients(load_base(base_folder), False)
    recomputed, counts = gradients(load_base(base_folder), which)
    assert once == {"copy": 1, "base": 1} and counts == runs
    assert all(torch.equal(mine, its) for mine, its in zip(kept, recomputed, strict=True))


@pytest.mark.parametrize(
    "keys", [("precision=bf16",), ("engine.base=bf16",), ("precision=bf16", "engine.base=fp32")]
)
def test_lower_precisions_train_nearly_alike(make_plan: MakePlan, keys: tuple[str, ...]) -> None:
    whole = weights(make_plan(*LARGE, out="fp32"))
    lower = weights(make_plan(*LARGE, *keys, out="lower"))
    assert all(value.dtype == torch.float32 for value in lower.values())
    assert 0 < drift(whole, lower) < 6e-3  # three steps of Adam at 1e-3 and 2e-3 move a weight by up to 6e-3


def test_the_base_is_of_its_own_precision_and_the_copy_is_not(make_plan: MakePlan) -> None:
    plan = make_plan(*QUICK, "engine.base=bf16")
    with engine_of(plan) as engine:
        shop = Workshop(plan, engine, None)
    assert shop.base.dtype == shop.base.vae.dtype == torch.bfloat16
    assert {p.dtype for p in shop.net.parameters()} == {torch.float32}


def test_half_precision_scales_its_loss_and_skips_what_overflows(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales: list[float] = []
    update = Engine.update

    def noting(self: Engine, optimizer: torch.optim.Optimizer) -> None:
        update(self, optimizer)
        scales.append(self.scaler.get_scale())

    monkeypatch.setattr(Engine, "update", noting)
    keys = (*LARGE, "precision=fp16", "save.every=1")
    whole = make_plan(*keys, out="whole")
    half = weights(whole)
    assert scales == [65536.0] * 3
    assert 0 < drift(half, weights(make_plan(*LARGE, out="fp32"))) < 6e-3
    train(make_plan(*keys, "steps=2", out="parts"))
    assert drift(half, load_file(train(make_plan(*keys, out="parts"), resume=True).weights)) == 0

    scales.clear()
    backward = Engine.backward
    monkeypatch.setattr(Engine, "backward", lambda self, loss: backward(self, loss * 1e6))
    overflown = make_plan(*keys, "steps=1", out="overflown")
    before = weights(overflown)
    assert scales == [32768.0]
    assert not any(value.any() for name, value in before.items() if name.startswith("zeros."))


def test_a_loss_that_overflows_in_single_precision_stops_the_run(
    make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    backward = Engine.backward
    monkeypatch.setattr(Engine, "backward", lambda self, loss: backward(self, loss * float("inf")))
    with pytest.raises(TrainingStopped):
        train(make_plan(*QUICK))


@pytest.mark.parametrize("key", ["engine.channels_last=true", "optim.fused=false"])
def test_layouts_change_rounding_alone_and_resume_exactly(make_plan: MakePlan, key: str) -> None:
    keys = (*QUICK, key, "save.every=1")
    whole = weights(make_plan(*keys, out="whole"))
    assert drift(whole, weights(make_plan(*QUICK, out="plain"))) < 2e-4
    train(make_plan(*keys, "steps=2", out="parts"))
    assert drift(whole, load_file(train(make_plan(*keys, out="parts"), resume=True).weights)) == 0


def test_moments_come_back_in_the_layout_of_their_parameters(base_folder: Path, tmp_path: Path) -> None:
    # The fused update pairs numbers by their place in memory.
    def made() -> tuple[ControlNet, torch.optim.Optimizer]:
        torch.manual_seed(0)
        net = ControlNet.from_base(load_base(base_folder), init="gaussian")
        channels_last(net)
        return net, optim.make_optimizer(net, Optim(fused=True, lr=1e-2))

    def step(net: ControlNet, optimizer: torch.optim.Optimizer) -> None:
        for index, parameter in enumerate(net.parameters()):
            chance = torch.Generator().manual_seed(index)
            parameter.grad = torch.randn(parameter.shape, generator=chance).to(parameter).clone()
            parameter.grad = torch.empty_like(parameter).copy_(parameter.grad)
        optimizer.step()

    net, optimizer = made()
    names = [f"p{number}" for number, _ in enumerate(net.parameters())]
    step(net, optimizer)
    save_optimizer(moments_of(optimizer, names), tmp_path / "o.safetensors")
    again, other = made()
    again.load_state_dict(net.state_dict())
    load_optimizer(other, tmp_path / "o.safetensors", names)
    step(net, optimizer)
    step(again, other)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
    kernel = next(p for p in again.parameters() if p.dim() == 4)
    assert other.state[kernel]["exp_avg"].stride() == kernel.stride() != kernel.contiguous().stride()


def test_blocks_are_compiled_one_by_one(base: Base, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[str] = []
    noted = lambda self, dynamic: compiled.append(type(self).__name__)  # noqa: E731
    monkeypatch.setattr(torch.nn.Module, "compile", noted)
    compile_blocks(base.network)
    assert compiled == [
        *("CrossAttnDownBlock2D",) * 3,
        "DownBlock2D",
        "UpBlock2D",
        *("CrossAttnUpBlock2D",) * 3,
        "UNetMidBlock2DCrossAttn",
    ]


def test_eight_bits_name_their_extra(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise ImportError(f"No module named {name!r}")

    monkeypatch.setattr(optim, "import_module", missing)
    with pytest.raises(MissingExtra, match=r"controlnet\[lowbit\]"):
        train(make_plan(*QUICK, "optim.kind=adamw8bit"))


def test_eight_bits_train_nearly_alike_and_resume_exactly(make_plan: MakePlan) -> None:
    pytest.importorskip("bitsandbytes")
    keys = (*QUICK, "optim.kind=adamw8bit", "save.every=1", "base=shapes", "optim.batch=1", "data.size=64")
    whole = make_plan(*keys, out="whole")
    found = weights(whole)
    moments = load_file(whole.folder / "state/step-000003/optimizer.safetensors")
    assert any(value.dtype == torch.uint8 for value in moments.values())
    train(make_plan(*keys, "steps=2", out="parts"))
    assert drift(found, load_file(train(make_plan(*keys, out="parts"), resume=True).weights)) == 0
    assert 0 < drift(found, weights(make_plan(*keys, "optim.kind=adamw", out="plain"))) < 1.2e-2


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (("engine.base=fp16",), "set precision to fp16 too"),
        (("engine.shard=true", "engine.channels_last=true"), "engine.shard goes with neither"),
        (("optim.checkpointing=decoder",), "optim.checkpointing"),
        (("engine.basis=bf16",), "did you mean engine.base"),
    ],
)
def test_what_does_not_go_together_is_refused(make_plan: MakePlan, keys: tuple[str, ...], told: str) -> None:
    with pytest.raises(PlanError, match=told):
        make_plan(*keys)
