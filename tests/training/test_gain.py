"""Control gain: exactly zero without control, positive with it, always on the same draws."""

import torch

from controlnet.backbones import Base
from controlnet.core.controlnet import ControlNet
from controlnet.training.gain import GainMeter, mean_and_error
from controlnet.training.step import Inputs

COUNT = 8


def inputs(base: Base) -> Inputs:
    torch.manual_seed(0)
    context = base.encode_prompts([f"circle {number}" for number in range(COUNT)])
    return Inputs(torch.randn(COUNT, 4, 4, 4), context, torch.rand(COUNT, 3, 32, 32))


def test_at_the_start_the_gain_is_exactly_zero(base: Base) -> None:
    meter = GainMeter(base, inputs(base), seed=0, batch=3)
    found = meter.measure(ControlNet.from_base(base))
    assert (found.gain, found.error) == (0.0, 0.0) and found.loss > 0


def test_a_controlnet_that_ignores_its_condition_has_no_gain(base: Base) -> None:
    net = ControlNet.from_base(base, init="gaussian")
    torch.nn.init.zeros_(net.hint[-1].weight)
    assert GainMeter(base, inputs(base), seed=0, batch=4).measure(net).gain == 0.0


def test_a_few_steps_on_the_samples_raise_the_gain(base: Base) -> None:
    torch.manual_seed(0)
    given = inputs(base)
    net = ControlNet.from_base(base, hint="unshuffle")
    meter = GainMeter(base, given, seed=0, batch=COUNT)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
    from controlnet.training.step import control_loss

    for _ in range(40):
        control_loss(base, net, given, meter._noise, meter._timestep).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    found = meter.measure(net)
    assert found.gain > 3 * found.error > 0


def test_measuring_twice_gives_the_same_and_leaves_no_gradient(base: Base) -> None:
    net = ControlNet.from_base(base, init="gaussian")
    meter = GainMeter(base, inputs(base), seed=0, batch=4)
    assert meter.measure(net) == meter.measure(net)
    assert all(p.grad is None for p in net.parameters())


def test_the_timesteps_cover_the_schedule_evenly(base: Base) -> None:
    meter = GainMeter(base, inputs(base), seed=0, batch=4)
    assert sorted(meter._timestep.tolist()) == [62, 187, 312, 437, 562, 687, 812, 937]


def test_mean_and_error_are_those_of_the_textbook() -> None:
    mean, error = mean_and_error(torch.tensor([1.0, 2.0, 3.0, 6.0], dtype=torch.float64))
    assert mean == 3.0 and abs(error - (14 / 3) ** 0.5 / 2) < 1e-12
