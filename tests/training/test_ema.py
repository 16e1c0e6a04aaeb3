"""The running mean follows its formula and gives the weights back."""

import torch
from torch import nn

from controlnet.training.ema import Ema


def module(value: float) -> nn.Linear:
    made = nn.Linear(1, 1, bias=False)
    nn.init.constant_(made.weight, value)
    return made


def test_the_mean_follows_its_formula() -> None:
    net = module(0.0)
    ema, expected = Ema(net, decay=0.5), 0.0
    for step, value in enumerate([1.0, 4.0, -2.0, 8.0, 3.0], 1):
        nn.init.constant_(net.weight, value)
        ema.update(net, step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert torch.allclose(ema.mean["weight"], torch.tensor(expected))


def test_applied_swaps_the_weights_and_swaps_them_back_even_after_an_error() -> None:
    net = module(1.0)
    ema = Ema(net, decay=0.9)
    nn.init.constant_(net.weight, 7.0)
    try:
        with ema.applied(net):
            assert net.weight.item() == 1.0
            raise RuntimeError
    except RuntimeError:
        pass
    assert net.weight.item() == 7.0 and ema.mean["weight"].item() == 1.0


def test_locked_parameters_have_no_mean() -> None:
    net = nn.Sequential(module(1.0), module(2.0))
    net[0].requires_grad_(False)
    assert list(Ema(net, decay=0.9).mean) == ["1.weight"]


def test_load_takes_the_weights_of_a_like_module() -> None:
    ema = Ema(module(0.0), decay=0.9)
    ema.load(module(3.0))
    assert ema.mean["weight"].item() == 3.0
