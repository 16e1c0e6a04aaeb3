"""Weights in the CPU's own order: the same pictures but for rounding, and plain layers at the end."""

from pathlib import Path

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.controlnet import ControlNet
from controlnet.sampling import Control, prepacked

from .walks import CONDITION, sample

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


@needs_onednn
def test_latents_stay_but_for_rounding(base: Base, net: ControlNet) -> None:
    wanted = sample(base, [Control(net, CONDITION)])
    with prepacked(base, net, net):
        found = sample(base, [Control(net, CONDITION)])
        again = sample(base, [Control(net, CONDITION)], reuse="deep:2")
        assert "forward" in vars(base.network.get_submodule("conv_in"))
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    assert torch.equal(sample(base, [Control(net, CONDITION)]), wanted)
    near = sample(base, [Control(net, CONDITION)], reuse="deep:2")
    torch.testing.assert_close(again, near, rtol=0, atol=1e-4 * float(near.abs().max()))


@needs_onednn
def test_layers_are_as_they_were_where_sampling_stops(base: Base, net: ControlNet) -> None:
    def stop(*told: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), prepacked(base, net):
        sample(base, [Control(net, CONDITION)], progress=stop)
    assert not any("forward" in vars(module) for module in (*base.network.modules(), *net.modules()))


def test_networks_of_another_precision_are_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = load_base(folder, torch.bfloat16)
    with prepacked(base):
        assert not any("forward" in vars(module) for module in base.network.modules())
    assert "no effect" in caplog.text
