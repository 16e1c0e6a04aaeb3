"""Control-LoRA: extracted, merged, kept as factors beside the base, and read from folders of peft."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.checkpoints.io import look
from controlnet.checkpoints.keys import to_diffusers
from controlnet.core.controlled import denoise
from controlnet.errors import CheckpointError, SettingError
from tests.checkpoints.nets import residuals, same, trained


def test_a_control_lora_is_the_nearest_of_its_rank(sd, tmp_path):
    tiny, net, _ = sd
    errors = {}
    for rank in (1, 4):
        save_controlnet(net, tmp_path / f"{rank}", "control_lora", base=tiny.network, rank=rank)
        told = describe(tmp_path / f"{rank}")
        assert told["rank"] == rank and told["needs_base"]
        errors[rank] = told["metadata"]["lora_controlnet"]["reconstruction_error"]
    assert 0 < errors[4] < errors[1] < 1
    tensors = load_file(tmp_path / "4")
    assert tensors["lora_controlnet"].numel() == 0
    assert tensors["middle_block.0.in_layers.2.up"].shape == (16, 4, 1, 1)
    assert tensors["middle_block.0.in_layers.2.down"].shape == (4, 16, 3, 3)
    # Against the decomposition itself.
    key = "mid_block.resnets.0.conv1.weight"
    difference = (net.copy.state_dict()[key] - tiny.network.state_dict()[key]).flatten(1)
    left, values, right = torch.linalg.svd(difference, full_matrices=False)
    wanted = (left[:, :4] * values[:4]) @ right[:4]
    again = load_controlnet(tmp_path / "4", base=tiny.network)
    got = (again.copy.state_dict()[key] - tiny.network.state_dict()[key]).flatten(1)
    assert torch.allclose(got, wanted, atol=1e-5)
    name = "conv_in.bias"
    assert torch.equal(again.copy.state_dict()[name], net.copy.state_dict()[name])


def test_broken_factors_are_refused(sd, tmp_path):
    tiny, net, _ = sd
    save_controlnet(net, tmp_path / "net", "control_lora", base=tiny.network, rank=2)
    tensors = load_file(tmp_path / "net")
    key = "middle_block.0.in_layers.2"
    for change, message in [
        ({f"{key}.up": torch.ones(16, 3, 1, 1)}, "the factors of"),
        ({f"{key}.up": None}, "without its other factor"),
        ({f"{key}.up": torch.ones(15, 2, 1, 1)}, "give the base that this ControlNet belongs to"),
    ]:
        changed = {k: v for k, v in (tensors | change).items() if v is not None}
        save_file(changed, tmp_path / "broken")
        with pytest.raises(CheckpointError, match=message):
            load_controlnet(tmp_path / "broken", base=tiny.network)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A Control-LoRA of an SDXL, which has linear projections as well as convolutions."""
    tiny, net = trained("sdxl")
    path = tmp_path_factory.mktemp("lora") / "net.safetensors"
    save_controlnet(net, path, "control_lora", base=tiny.network, rank=2)
    return tiny, path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_kept_as_factors_it_computes_what_it_does_merged(dtype, small):
    _, path = small
    tiny = UNet().tiny("sdxl")
    network = tiny.network.to(dtype)
    merged, kept = (load_controlnet(path, base=network, merge=merge) for merge in (True, False))
    context = tiny.context.to(dtype=dtype)
    with torch.no_grad():
        a, b = (net(tiny.x.to(dtype), tiny.timestep, context, tiny.condition) for net in (merged, kept))
    assert same(a, b)


def storages(net):
    held = [parameter.untyped_storage() for parameter in net.parameters()]
    return {storage.data_ptr(): storage.nbytes() for storage in held}


def test_kept_as_factors_it_takes_the_memory_of_its_file(small):
    tiny, path = small
    kept, merged = (load_controlnet(path, base=tiny.network, merge=merge) for merge in (False, True))
    base = storages(tiny.network)
    new = sum(size for place, size in storages(kept).items() if place not in base)
    assert new == sum(piece.bytes for piece in look(path).pieces.values())
    assert new < sum(storages(merged).values())


def test_training_it_leaves_the_base_as_it_was(small):
    _, path = small
    tiny = UNet().tiny("sdxl")
    before = {name: tensor.clone() for name, tensor in tiny.network.state_dict().items()}
    kept = load_controlnet(path, base=tiny.network, merge=False)
    parameters = [p for group in kept.parameter_groups().values() for p in group]
    assert not {p.data_ptr() for p in parameters} & {p.data_ptr() for p in tiny.network.parameters()}
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    denoise(
        tiny.network, tiny.x, tiny.timestep, tiny.context, residuals(kept, tiny)
    ).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.network.state_dict().items())
    layer = kept.copy.mid_block.resnets[0].conv1
    assert layer.parametrizations.weight[0].up.grad.any()


@pytest.mark.parametrize("format", ["native", "ldm", "diffusers", "difference"])
def test_kept_as_factors_it_is_saved_merged(format, small, tmp_path):
    tiny, path = small
    merged, kept = (load_controlnet(path, base=tiny.network, merge=merge) for merge in (True, False))
    save_controlnet(kept, tmp_path / "net", format, base=tiny.network, dtype=torch.float64)
    again = load_controlnet(tmp_path / "net", base=tiny.network)
    assert same(again.state_dict().values(), merged.state_dict().values())


def test_what_cannot_be_kept(small, tmp_path):
    tiny, path = small
    save_controlnet(trained("sdxl")[1], tmp_path / "net")
    with pytest.raises(SettingError, match=r"merge=False for .* wanted a Control-LoRA"):
        load_controlnet(tmp_path / "net", base=tiny.network, merge=False)
    with pytest.raises(SettingError, match=r"merge=False for .* dtype=torch\.float16"):
        load_controlnet(path, base=tiny.network, dtype=torch.float16, merge=False)
    with pytest.raises(SettingError, match="merge=False and no base"):
        load_controlnet(tmp_path / "net", merge=False)


def adapter(folder, tiny, net, wrapped, **settings):
    """Write a folder as peft does around diffusers' ControlNetModel, and return what it means."""
    folder.mkdir()
    lora, whole = {}, {}
    scale = settings.get("lora_alpha", 2) / 2
    wanted = dict(net.state_dict())
    generator = torch.Generator().manual_seed(5)
    for own, their in to_diffusers(net).items():
        part, tensor = own.partition(".")[0], wanted[own]
        module, _, kind = their.rpartition(".")
        name = f"base_model.model.{module}"
        if part == "copy" and kind == "weight" and tensor.ndim > 1:
            ones = [1] * (tensor.ndim - 2)
            up = torch.randn(tensor.shape[0], 2, *ones, generator=generator)
            down = torch.randn(2, *tensor.shape[1:], generator=generator)
            lora |= {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}
            change = torch.einsum("or,ri->oi", up.flatten(1), down.flatten(1)).reshape(tensor.shape)
            wanted[own] = tiny.network.state_dict()[their] + scale * change
        elif part == "copy" and f"{name}.lora_A.weight" in lora:
            whole[f"{name}.base_layer.{kind}"] = tensor
        else:
            whole[f"{name}.modules_to_save.{kind}" if wrapped else f"{name}.{kind}"] = tensor
            whole |= {f"{name}.original_module.{kind}": torch.zeros_like(tensor)} if wrapped else {}
    save_file(lora | whole, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, **settings}))
    return wanted


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("variant", UNet.variants)
def test_folders_of_peft(variant, wrapped, tmp_path):
    tiny, net = trained(variant)
    wanted = adapter(tmp_path / "net", tiny, net, wrapped, lora_alpha=6)
    for source in (tmp_path / "net", tmp_path / "net" / "adapter_model.safetensors"):
        again = load_controlnet(source, base=tiny.network).state_dict()
        for name, tensor in wanted.items():
            torch.testing.assert_close(again[name], tensor, rtol=1e-5, atol=1e-5)
    kept = load_controlnet(tmp_path / "net", base=tiny.network, merge=False)
    assert same(residuals(kept, tiny), residuals(load_controlnet(tmp_path / "net", base=tiny.network), tiny))
    told = describe(tmp_path / "net")
    assert told["format"] == "control_lora" and told["rank"] == 2 and told["needs_base"] and told["trained"]


def test_what_of_peft_is_refused(tmp_path):
    tiny, net = trained("sd")
    adapter(tmp_path / "net", tiny, net, False, use_dora=True)
    with pytest.raises(CheckpointError, match="is DoRA; wanted plain LoRA"):
        load_controlnet(tmp_path / "net", base=tiny.network)
    (tmp_path / "net" / "adapter_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"wanted .*adapter_config.json: copy the whole folder"):
        load_controlnet(tmp_path / "net" / "adapter_model.safetensors", base=tiny.network)
    with pytest.raises(CheckpointError, match=r"cannot read .*config\.json"):
        load_controlnet(tmp_path / "net", base=tiny.network)
