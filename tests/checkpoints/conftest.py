"""One small ControlNet on disk, as a file of ours and as a folder of diffusers."""

import pytest

from controlnet.checkpoints import save_controlnet
from tests.checkpoints.nets import awake


@pytest.fixture(scope="module")
def made():
    return awake()


@pytest.fixture
def native(made, tmp_path):
    path = tmp_path / "net.safetensors"
    save_controlnet(made[1], path, metadata={"plan": {"lr": 1e-5}, "provenance": "a test"})
    return path


@pytest.fixture
def theirs(made, tmp_path):
    path = tmp_path / "net"
    save_controlnet(made[1], path, format="diffusers", metadata={"provenance": "a test"})
    return path
