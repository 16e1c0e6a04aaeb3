"""One small ControlNet on disk, as a file of ours and as a folder of diffusers."""

import pytest
from safetensors.torch import load_file

from controlnet.checkpoints import save_controlnet
from tests.checkpoints.nets import awake, trained


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


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    """A Stable Diffusion of the first kind: base, ControlNet, and its tensors in ldm's layout."""
    tiny, net = trained("sd")
    path = tmp_path_factory.mktemp("sd") / "net.safetensors"
    save_controlnet(net, path, "ldm")
    return tiny, net, load_file(path)
