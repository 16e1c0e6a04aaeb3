"""Another layout in memory, the same pictures."""

from pathlib import Path

import torch

from controlnet.backbones import load_base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, channels_last

from .conftest import awake
from .walks import CONDITION, sample


def test_latents_stay_and_weights_lie_otherwise(folder: Path) -> None:
    base = load_base(folder)
    net = awake(ControlNet.from_base(base), 2)
    before = sample(base, [Control(net, CONDITION)], seeds=[1])
    values = {name: value.clone() for name, value in net.state_dict().items()}
    channels_last(base, net)
    for module in (base.network, net):
        convs = [m for m in module.modules() if isinstance(m, torch.nn.Conv2d)]
        assert all(m.weight.is_contiguous(memory_format=torch.channels_last) for m in convs)
    assert all(torch.equal(value, values[name]) for name, value in net.state_dict().items())
    after = sample(base, [Control(net, CONDITION)], seeds=[1])
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)
