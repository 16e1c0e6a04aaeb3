"""The service takes decoders that were trained along with ControlNets as `controlnet sample` does."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from controlnet.backbones import load_base
from controlnet.cli.app import main
from controlnet.errors import CheckpointError, SettingError
from controlnet.service import Catalog, Generate, Limits, Unit
from controlnet.service.models import Models
from controlnet.service.requests import check
from controlnet.service.worker import Desk
from tests.checkpoints.decoders import pair
from tests.helpers import tiny_base
from tests.service.test_making import Pipe

MAP = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, and two runs in which its decoder was trained along, each with a decoder of its own."""
    folder = tmp_path_factory.mktemp("decoders")
    base = load_base(tiny_base(folder / "tiny"))
    (folder / "nets").mkdir()
    for seed, name in enumerate(("one", "other")):
        pair(base, folder / "nets" / name, seed)
    return folder


@pytest.fixture(scope="module")
def catalog(place: Path) -> Catalog:
    return Catalog.of([str(place / "tiny")], [str(place / "nets")])


@pytest.fixture
def models(catalog: Catalog) -> Models:
    return Models(catalog, torch.device("cpu"))


def asked(*nets: str) -> Generate:
    units = tuple(Unit(net, MAP) for net in nets)
    return Generate("tiny", "a cube", seed=5, steps=2, width=64, height=64, units=units)


def picture(models: Models, *nets: str) -> np.ndarray:
    pipe = Pipe()
    Desk(pipe, models, 1, 2048 * 2048).work([("a", asked(*nets))])  # type: ignore[arg-type]
    [(png, *_)] = pipe.of("picture", "a")
    return np.asarray(Image.open(io.BytesIO(png)))


def test_the_picture_is_the_one_that_sample_makes(
    place: Path, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    Image.fromarray(MAP).save("map.png")
    plain, made = picture(models), dict[str, np.ndarray]()
    for net in ("one", "other"):
        control = f"nets/{net}=map.png"
        assert main(["sample", "a cube", "--base", "tiny", "--control", control, "--out", f"{net}.png",
                     "--seed", "5", "--steps", "2", "--width", "64", "--height", "64"]) == 0  # fmt: skip
        made[net] = picture(models, net)
        assert np.array_equal(made[net], np.asarray(Image.open(f"{net}.png")))
        assert not np.array_equal(made[net], plain)  # with nothing trained but the decoder
    assert not np.array_equal(made["one"], made["other"])
    assert np.array_equal(picture(models), plain)  # the base itself is as it was


def test_it_is_held_once_beside_the_base_that_shares_the_rest(catalog: Catalog, models: Models) -> None:
    base = models.base("tiny")
    held = models.usage()["models"]
    own = models.base("tiny", ["one"])
    assert models.base("tiny", ["one"]) is own and models.base("tiny") is base
    decoder = sum(4 * part.numel() for part in base.backbone.decoder(base.network).values())
    assert models.usage()["models"] - held == decoder
    assert models.usage()["loaded"] == [f"decoder {catalog.control('one').decoder} on tiny", "tiny"]


def test_controls_with_unlike_decoders_are_refused(catalog: Catalog) -> None:
    check(asked("one", "one"), catalog, Limits())
    with pytest.raises(SettingError, match="one and other were each trained with a decoder of its own"):
        check(asked("one", "other"), catalog, Limits())


def test_the_catalog_tells_decoders_from_controlnets(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = load_base(tiny_base(tmp_path / "tiny"))
    net, _ = pair(base, tmp_path / "run")
    moved = net.rename(net.with_name("mine.safetensors"))
    (tmp_path / "run" / "broken.safetensors").write_bytes(b"no weights")
    known = Catalog.of([str(tmp_path / "tiny")], [str(tmp_path / "run")])
    assert [model.name for model in known.controls] == ["broken", "mine"]
    assert known.control("mine").decoder and not known.control("broken").decoder
    moved.with_name("decoder.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"mine: the decoder beside it .* is there no more"):
        Models(known, torch.device("cpu")).base("tiny", ["mine"])
    again = Catalog.of([str(tmp_path / "tiny")], [str(tmp_path / "run")])
    assert again.control("mine").decoder == "" and "is not beside it" in caplog.text
