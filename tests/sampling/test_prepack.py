"""Weights in the CPU's own order: the same pictures but for rounding, and every bit back at the end."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.controlnet import ControlNet
from controlnet.core.origin import fingerprint
from controlnet.sampling import Control, prepacked

from .walks import CONDITION, sample

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="torch without oneDNN")


@needs_onednn
def test_latents_stay_and_weights_come_back(base: Base, net: ControlNet) -> None:
    modules = (base.network, net)
    before = [{name: value.clone() for name, value in module.state_dict().items()} for module in modules]
    kept = [dict(module.named_parameters()) for module in modules]
    wanted = sample(base, [Control(net, CONDITION)])
    with prepacked(base, net, net):
        found = sample(base, [Control(net, CONDITION)])
        again = sample(base, [Control(net, CONDITION)], reuse="deep:2")
        assert base.network.get_parameter("conv_in.weight").numel() == 0  # its plain weights do not stay
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    for module, values, parameters in zip(modules, before, kept, strict=True):
        assert all(torch.equal(value, values[name]) for name, value in module.state_dict().items())
        assert all(own is parameters[name] for name, own in module.named_parameters())
    assert torch.equal(sample(base, [Control(net, CONDITION)]), wanted)
    near = sample(base, [Control(net, CONDITION)], reuse="deep:2")
    torch.testing.assert_close(again, near, rtol=0, atol=1e-4 * float(near.abs().max()))


@needs_onednn
def test_weights_come_back_where_sampling_stops(base: Base, net: ControlNet) -> None:
    known = (fingerprint(base.network), fingerprint(net))

    def stop(*told: object) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError), prepacked(base, net):
        sample(base, [Control(net, CONDITION)], progress=stop)
    assert (fingerprint(base.network), fingerprint(net)) == known
    assert not any("forward" in vars(module) for module in (*base.network.modules(), *net.modules()))
    deepcopy(base.network)


def test_networks_of_another_precision_are_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = load_base(folder, torch.bfloat16)
    with prepacked(base):
        assert not any("forward" in vars(module) for module in base.network.modules())
    assert "no effect" in caplog.text
