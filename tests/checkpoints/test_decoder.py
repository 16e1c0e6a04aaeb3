"""A decoder that was trained along: kept beside its ControlNet, found there, and refused elsewhere."""

import logging
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from controlnet.backbones import Base, load_base
from controlnet.checkpoints import add_decoder, describe, load_controlnet
from controlnet.checkpoints.decoder import add_decoders, decoder_of, save_decoder, with_decoders
from controlnet.cli.app import main
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, SettingError
from controlnet.sampling import Control, generate
from tests.checkpoints.decoders import changed, pair
from tests.helpers import tiny_base


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def base(folder: Path) -> Base:
    return load_base(folder)


def test_it_is_found_beside_its_controlnet_and_given_to_the_base(base: Base, tmp_path: Path) -> None:
    net, decoder = pair(base, tmp_path / "run")
    assert decoder_of(net) == decoder_of(net.parent) == net.parent / "decoder.safetensors"
    before = {name: value.clone() for name, value in base.network.state_dict().items()}
    add_decoders(base, [net, net.parent])
    after = base.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in (before | decoder).items())
    assert not any(parameter.requires_grad for parameter in base.network.parameters())
    add_decoder(base, net.parent / "decoder.safetensors")  # again: nothing to do
    assert load_controlnet(net, base).origin.decoder == base.decoder


def test_the_right_one_of_two_is_found(base: Base, tmp_path: Path) -> None:
    net, _ = pair(base, tmp_path / "state")
    own = net.with_name("decoder.safetensors").rename(net.with_name("ema_decoder.safetensors"))
    save_decoder(
        net.with_name("decoder.safetensors"), changed(base, 1), ControlNet.from_base(base).origin, {}
    )
    assert decoder_of(net) == own


def test_without_it_one_is_told(base: Base, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net, _ = pair(base, tmp_path / "run")
    condition = torch.rand(1, 3, 64, 64)
    with caplog.at_level(logging.WARNING):
        generate(base, "a", [Control(load_controlnet(net, base), condition)], steps=1)
    assert "does not have; it works less well" in caplog.text
    caplog.clear()
    add_decoder(base, net.with_name("decoder.safetensors"))
    with caplog.at_level(logging.WARNING):
        generate(base, "a", [Control(load_controlnet(net, base), condition)], steps=1)
    assert "decoder" not in caplog.text
    net.with_name("decoder.safetensors").unlink()
    assert decoder_of(net) is None
    assert "is not beside it" in caplog.text


@pytest.mark.parametrize(
    ("form", "place", "beside"),
    [
        ("diffusers", "folder", "folder/decoder.safetensors"),
        ("ldm", "web.safetensors", "web.decoder.safetensors"),
    ],
)
def test_a_conversion_takes_it_along(
    base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, place: str, beside: str
) -> None:
    net, decoder = pair(base, tmp_path / "run")
    assert main(["convert", str(net), str(tmp_path / place), "--to", form]) == 0
    assert f"{tmp_path / beside}: the decoder that was trained along" in capsys.readouterr().out
    add_decoders(base, [tmp_path / place])
    assert all(torch.equal(base.network.state_dict()[name], value) for name, value in decoder.items())
    assert main(["convert", str(net), str(net.with_name("same.safetensors")), "--to", "ldm"]) == 0
    assert len(list(net.parent.glob("*decoder*"))) == 1  # it lies there already


def test_a_conversion_tells_where_it_cannot_go_along(
    base: Base, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (net, _), (other, _) = pair(base, tmp_path / "run"), pair(base, tmp_path / "other", seed=1)
    moved = ["--transfer", str(folder / "unet"), str(folder / "unet")]
    for target, options, why in (
        ("moved", moved, f"with {net} does not go along: it belongs to the original base"),
        ("mixed", ["--blend", f"{other}=0.5"], f"with {other} does not go along: a blend keeps"),
    ):
        place = tmp_path / f"{target}.safetensors"
        assert main(["convert", str(net), str(place), "--to", "native", *options]) == 0
        assert why in capsys.readouterr().out
    assert load_controlnet(tmp_path / "moved.safetensors", base).origin.decoder == ""
    net.with_name("decoder.safetensors").unlink()
    assert main(["convert", str(net), str(tmp_path / "alone.safetensors"), "--to", "native"]) == 0
    assert "is not beside it" in capsys.readouterr().err


def test_a_base_is_lent_one_and_stays_as_it_is(base: Base, tmp_path: Path) -> None:
    net, decoder = pair(base, tmp_path / "run")
    before = base.fingerprint()
    own = with_decoders(base, [net])
    assert all(torch.equal(own.network.state_dict()[name], value) for name, value in decoder.items())
    assert (base.fingerprint(), base.decoder) == (before, "") and own.decoder
    shared = {part.data_ptr() for part in own.network.parameters()} & {
        part.data_ptr() for part in base.network.parameters()
    }
    assert len(shared) == len(list(base.network.parameters())) - len(decoder)
    assert with_decoders(base, []) is base


def test_what_does_not_belong_together_is_refused(base: Base, folder: Path, tmp_path: Path) -> None:
    net, _ = pair(base, tmp_path / "run")
    other, _ = pair(base, tmp_path / "other", seed=1)
    with pytest.raises(SettingError, match="each trained with a decoder of its own"):
        add_decoders(base, [net, other])
    strange = load_base(folder)
    with torch.no_grad():
        next(strange.network.parameters()).add_(1)
    with pytest.raises(CheckpointError, match=r"was trained with the base .*add LoRA only afterwards"):
        add_decoder(strange, net.with_name("decoder.safetensors"))
    with pytest.raises(CheckpointError, match="is no decoder of ours"):
        add_decoder(base, net)
    add_decoder(base, net.with_name("decoder.safetensors"))
    with pytest.raises(CheckpointError, match="has been given another decoder"):
        add_decoder(base, other.with_name("decoder.safetensors"))


def test_a_torn_one_changes_nothing(base: Base, tmp_path: Path) -> None:
    net, decoder = pair(base, tmp_path / "run")
    origin = ControlNet.from_base(base).origin
    del decoder["conv_out.bias"]
    save_decoder(net.with_name("decoder.safetensors"), decoder, origin, {})
    before = base.fingerprint()
    with pytest.raises(CheckpointError, match=r"1 missing \(conv_out\.bias\)"):
        add_decoder(base, net.with_name("decoder.safetensors"))
    assert base.fingerprint() == before
    save_file({"a": torch.zeros(1)}, tmp_path / "decoder.safetensors")
    with pytest.raises(CheckpointError, match="is no decoder of ours"):
        add_decoder(base, tmp_path / "decoder.safetensors")


def test_info(base: Base, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net, decoder = pair(base, tmp_path / "run")
    about = describe(net.with_name("decoder.safetensors"))
    assert (about["format"], about["metadata"], about["tensors"]) == ("decoder", {"step": 3}, len(decoder))
    assert main(["info", str(net.with_name("decoder.safetensors"))]) == main(["info", str(net)]) == 0
    told = capsys.readouterr().out
    assert "trained along with a ControlNet" in told and about["fingerprint"] in told
    assert "keep its file beside this one" in told
