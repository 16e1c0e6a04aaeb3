"""A base so small that a picture takes no time, a ControlNet that has an effect, and one with none yet."""

from pathlib import Path

import pytest
import torch

from controlnet.backbones import Base, load_base
from controlnet.core.controlnet import ControlNet
from tests.helpers import tiny_base


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def base(folder: Path) -> Base:
    return load_base(folder)


@pytest.fixture(scope="session")
def untrained(base: Base) -> ControlNet:
    return ControlNet.from_base(base)


@pytest.fixture(scope="session")
def net(base: Base) -> ControlNet:
    """A ControlNet whose zero convolutions and hint are as if trained, so that it changes the picture."""
    return awake(ControlNet.from_base(base), 2)


@pytest.fixture(scope="session")
def other_net(base: Base) -> ControlNet:
    return awake(ControlNet.from_base(base), 3)


def awake(net: ControlNet, seed: int) -> ControlNet:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (*net.zeros.parameters(), *net.hint.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return net.eval()
