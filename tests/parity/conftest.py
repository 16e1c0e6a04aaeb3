"""One small base with two ControlNets that have an effect, and their twins in diffusers' own classes."""

from pathlib import Path
from typing import Any

import pytest

from controlnet.backbones import Base, load_base
from controlnet.core.controlnet import ControlNet
from tests.helpers import tiny_base

from .twins import awake, twin


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("parity") / "tiny")


@pytest.fixture(scope="session")
def tiny(tiny_folder: Path) -> Base:
    return load_base(tiny_folder)


@pytest.fixture(scope="session")
def nets(tiny: Base) -> list[ControlNet]:
    return [awake(ControlNet.from_base(tiny), seed) for seed in (2, 3)]


@pytest.fixture(scope="session")
def twins(nets: list[ControlNet], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("twins")
    return [twin(net, folder / str(index)) for index, net in enumerate(nets)]
