"""Small ControlNets whose parameters are all random, for the tests of files."""

import torch
from torch import nn

from controlnet.backbones.unet import UNet
from controlnet.core.controlnet import ControlNet


def awake(variant: str = "sd", **changes) -> tuple:
    """Return a small base and a ControlNet of it that has an effect."""
    tiny = UNet().tiny(variant)
    torch.manual_seed(4)
    net = ControlNet.from_base(tiny.network, **changes)
    for parameter in (*net.zeros.parameters(), *net.hint[-1].parameters()):
        nn.init.normal_(parameter, std=0.2)
    return tiny, net


def trained(variant: str = "sd", **changes) -> tuple:
    """Return the same with a copy that has left its base."""
    tiny, net = awake(variant, **changes)
    with torch.no_grad():
        for parameter in net.copy.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return tiny, net


def residuals(net, tiny):
    return net(tiny.x, tiny.timestep, tiny.context, tiny.condition)


def same(a, b) -> bool:
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
