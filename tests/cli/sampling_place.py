"""A folder to sample in: a small base, a ControlNet that has an effect, a photo and its edges."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from controlnet.backbones import load_base
from controlnet.checkpoints import save_controlnet
from controlnet.cli.app import main
from controlnet.conditions import annotate
from controlnet.core.controlnet import ControlNet
from tests.helpers import tiny_base
from tests.sampling.conftest import awake


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with base/ and net.safetensors, a ControlNet that changes the picture."""
    folder = tmp_path_factory.mktemp("sample")
    base = load_base(tiny_base(folder / "base"))
    net = ControlNet.from_base(base)
    save_controlnet(awake(net, 3), folder / "net.safetensors")
    return folder


@pytest.fixture
def place(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, but for links to the base and the ControlNet, a photo and a map."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "net.safetensors"):
        (tmp_path / name).symlink_to(made / name)
    pixels = np.zeros((64, 128, 3), np.uint8)
    pixels[16:48, 30:90] = 255
    Image.fromarray(pixels).save("photo.png")
    annotate("canny", Image.fromarray(pixels)).save("edges.png")
    return tmp_path


def sample(*options: str) -> int:
    return main(["sample", "a red cube", "--base", "base", "--steps", "2", *options])


def refused(place: Path, capsys: pytest.CaptureFixture[str], status: Callable[[], int]) -> str:
    """Give the one line that a mistake is told in; nothing is written."""
    before = {path.name for path in place.iterdir()}
    assert status() == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert {path.name for path in place.iterdir()} == before
    return error


def opened(path: str) -> Image.Image:
    with Image.open(path) as image:
        image.load()
        return image


def pngs(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.suffix != ".safetensors" and path.is_file()}
