"""`convert`: layouts, precisions, transfer, blends; whole or absent; and little memory."""

import pytest
import torch

import controlnet as cn
from controlnet.backbones.unet import UNet
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.checkpoints.io import look, write_pieces
from controlnet.errors import CheckpointError, SettingError, UnknownName
from controlnet.tensorfiles import shard as shards
from controlnet.tensorfiles.piece import Piece
from tests.checkpoints.nets import residuals, same, trained


@pytest.fixture(scope="module")
def made():
    return trained("sd")


@pytest.fixture
def net(made, tmp_path):
    save_controlnet(made[1], tmp_path / "net.safetensors", metadata={"plan": {"lr": 1e-5}})
    return tmp_path / "net.safetensors"


def test_there_and_back(made, net, tmp_path):
    told = cn.convert(net, tmp_path / "a1111.safetensors", to="webui")
    assert told["format"] == "ldm" and told["tensors"] == len(made[1].state_dict())
    assert told["bytes"] == (tmp_path / "a1111.safetensors").stat().st_size
    cn.convert(tmp_path / "a1111.safetensors", tmp_path / "folder", to="diffusers")
    again = load_controlnet(tmp_path / "folder")
    assert same(residuals(again, made[0]), residuals(made[1], made[0]))
    assert describe(tmp_path / "folder")["metadata"] == {"plan": {"lr": 1e-5}}


def test_precision(net, tmp_path):
    cn.convert(net, tmp_path / "half.safetensors", to="ldm", precision="fp16")
    assert look(tmp_path / "half.safetensors").precisions == ["F16"]
    with pytest.raises(UnknownName, match="did you mean fp64 or fp16"):
        cn.convert(net, tmp_path / "x", to="ldm", precision="fp61")
    with pytest.raises(UnknownName, match="no checkpoint format is called 'ldn'"):
        cn.convert(net, tmp_path / "x", to="ldn")
    with pytest.raises(CheckpointError, match="no file or folder"):
        cn.convert(tmp_path / "none.pth", tmp_path / "x", to="ldm")
    assert not (tmp_path / "x").exists()


def test_a_control_lora_tells_its_error(made, net, tmp_path):
    told = cn.convert(net, tmp_path / "lora", to="control_lora", base=made[0].network, rank=2)
    assert told["rank"] == 2 and 0 < told["reconstruction_error"] < 1
    with pytest.raises(SettingError, match="rank 0"):
        cn.convert(net, tmp_path / "none", to="control_lora", base=made[0].network, rank=0)
    merged = cn.convert(tmp_path / "lora", tmp_path / "merged", to="ldm", base=made[0].network)
    assert merged["tensors"] == len(made[1].state_dict())


def test_transfer_adds_what_the_bases_differ_in(made, net, tmp_path):
    tiny, control = made
    other = UNet().tiny("sd", seed=1).network
    cn.convert(net, tmp_path / "moved", to="native", transfer=(tiny.network, other))
    moved = load_controlnet(tmp_path / "moved", base=other)
    bases = [network.state_dict() for network in (other, tiny.network)]
    for key, tensor in control.copy.state_dict().items():
        wanted = tensor.double() + bases[0][key].double() - bases[1][key].double()
        assert torch.equal(moved.copy.state_dict()[key], wanted.float()), key
    for part in ("hint", "zeros"):
        ours, theirs = getattr(control, part).state_dict(), getattr(moved, part).state_dict()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert moved.origin.fingerprint != control.origin.fingerprint
    with pytest.raises(CheckpointError, match=r"has conv_in.weight of size|has no "):
        cn.convert(net, tmp_path / "x", to="ldm", transfer=(tiny.network, UNet().tiny("sdxl").network))


def test_blends(made, net, tmp_path):
    torch.manual_seed(9)
    _, other = trained("sd")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter += 0.1
    save_controlnet(other, tmp_path / "other", "ldm")
    cn.convert(net, tmp_path / "mix", to="native", blend={str(tmp_path / "other"): 0.25})
    mix = load_controlnet(tmp_path / "mix").state_dict()
    for key, tensor in made[1].state_dict().items():
        assert torch.allclose(mix[key], 0.75 * tensor + 0.25 * other.state_dict()[key], atol=1e-6), key
    save_controlnet(trained("sdxl")[1], tmp_path / "xl", "native")
    with pytest.raises(CheckpointError, match="is of another structure"):
        cn.convert(net, tmp_path / "x", to="native", blend={str(tmp_path / "xl"): 0.5})


def test_pooling_is_set_where_no_file_says_it(net, tmp_path):
    cn.convert(net, tmp_path / "shuffle", to="diffusers", global_pool=True)
    assert load_controlnet(tmp_path / "shuffle").settings.global_pool
    assert describe(tmp_path / "shuffle")["settings"]["global_pool"]


def test_a_base_from_the_disk(made, tmp_path):
    """A U-Net's folder, and a whole checkpoint in ldm's layout, serve as the base in memory does."""
    from safetensors.torch import save_file

    from controlnet.checkpoints.keys import Structure, renamed, to_ldm

    tiny, control = made
    tiny.network.save_pretrained(tmp_path / "unet")
    state = tiny.network.state_dict()
    table = renamed(state, to_ldm(Structure.of_diffusers(state)))
    whole = {f"model.diffusion_model.{new}": state[old] for old, new in table.items()}
    whole["model.diffusion_model.output_blocks.0.0.in_layers.0.weight"] = torch.ones(2)
    save_file(whole, tmp_path / "base.safetensors")
    for base in (tmp_path / "unet", tmp_path / "base.safetensors"):
        save_controlnet(control, tmp_path / "diff", "difference", dtype=torch.float64, base=base)
        again = load_controlnet(tmp_path / "diff", base=tiny.network)
        assert same(residuals(again, tiny), residuals(control, tiny))
        told = cn.convert(tmp_path / "diff", tmp_path / "full", to="diffusers_file", base=base)
        assert told["tensors"] == len(control.state_dict())
    (tmp_path / "unet" / "config.json").write_text('{"_class_name": "AutoencoderKL"}')
    with pytest.raises(CheckpointError, match="holds a AutoencoderKL"):
        cn.convert(tmp_path / "diff", tmp_path / "x", to="ldm", base=tmp_path / "unet")


def test_the_writer_s_files_are_those_of_safetensors(tmp_path):
    from safetensors.torch import load_file, save_file

    torch.manual_seed(0)
    tensors = {
        "b": torch.randn(3, 5).to(torch.bfloat16),
        "a": torch.randn(7),
        "wide": torch.randn(2, dtype=torch.float64),
        "whole": torch.arange(3),
        "empty": torch.zeros(0),
        "single": torch.tensor(2.0),
        "turned": torch.randn(4, 3).T,
    }
    pieces = {name: Piece(tuple(t.shape), t.dtype, lambda t=t: t) for name, t in tensors.items()}
    write_pieces(tmp_path / "ours", pieces, {})
    save_file({k: v.contiguous() for k, v in tensors.items()}, tmp_path / "theirs", {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    again = load_file(tmp_path / "ours")
    assert all(torch.equal(again[name], tensor) for name, tensor in tensors.items())


def test_one_tensor_at_a_time_is_held(tmp_path):
    """Each piece is loaded when its turn comes, and nothing keeps it: what bounds memory on large files."""
    import weakref

    alive: list = []

    def load(name):
        assert all(reference() is None for reference in alive), f"before {name} something is still held"
        tensor = torch.ones(1000)
        alive.append(weakref.ref(tensor.untyped_storage()))
        return tensor.half()

    pieces = {f"t{i}": Piece((1000,), torch.float32, lambda i=i: load(i)) for i in range(5)}
    write_pieces(tmp_path / "net", pieces, {})
    assert len(alive) == 5


def test_mappings_are_renewed(made, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "_WINDOW", 100)
    for format in ("native", "pth"):
        path = tmp_path / format
        if format == "pth":
            save_controlnet(made[1], tmp_path / "ldm", "ldm")
            from safetensors.torch import load_file

            torch.save(load_file(tmp_path / "ldm"), path)
        else:
            save_controlnet(made[1], path)
        assert same(
            residuals(load_controlnet(path, base=made[0].network), made[0]), residuals(*reversed(made))
        )


def test_what_cannot_be_mapped_is_read_once(made, tmp_path, monkeypatch):
    from safetensors.torch import load_file

    monkeypatch.setattr(shards, "_WINDOW", 100)
    save_controlnet(made[1], tmp_path / "ldm", "ldm")
    torch.save(load_file(tmp_path / "ldm"), tmp_path / "net", _use_new_zipfile_serialization=False)
    read, reads = shards.read_pickle, []
    monkeypatch.setattr(shards, "read_pickle", lambda path: reads.append(path) or read(path))
    net = load_controlnet(tmp_path / "net", base=made[0].network)
    assert len(reads) == 1
    assert same(residuals(net, made[0]), residuals(*reversed(made)))


@pytest.mark.parametrize("damage", [float("nan"), float("inf")])
def test_health(damage, made, tmp_path):
    _, control = trained("sd")
    with torch.no_grad():
        control.zeros["skip3"].weight.zero_()
        control.zeros["skip3"].bias.zero_()
        control.copy.conv_in.weight[0, 0, 0, 0] = damage
    save_controlnet(control, tmp_path / "net", "ldm")
    told = describe(tmp_path / "net")
    assert told["trained"] and told["dead_taps"] == ["zero_convs.3.0"]
    assert told["not_finite"] == ["input_blocks.0.0.weight"]
