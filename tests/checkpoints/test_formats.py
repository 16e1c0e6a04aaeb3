"""Every format to every format, and the variants of each layout that are found in the wild."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from controlnet.backbones.unet import UNet
from controlnet.checkpoints import describe, load_controlnet, save_controlnet
from controlnet.checkpoints.about import format_of
from controlnet.checkpoints.base import base_weights
from controlnet.checkpoints.format import Writing
from controlnet.checkpoints.io import look
from controlnet.checkpoints.stored import Stored
from controlnet.errors import CheckpointError
from controlnet.registry import find, names
from tests.checkpoints.nets import residuals, same, trained

FORMATS = names("formats")
# At this precision and rank the formats that keep differences are exact, too.
EXACT = {"difference": torch.float64}


@pytest.fixture(scope="module")
def made():
    return trained("sdxl", condition_channels=4, global_pool=True)


@pytest.fixture(scope="module")
def base(made):
    return base_weights(made[0].network)


def write(stored, path, format, base):
    find("formats", format)().write(stored, path, Writing(EXACT.get(format), base, rank=10_000))


@pytest.fixture(scope="module")
def files(made, base, tmp_path_factory):
    """The same ControlNet in every format."""
    folder = tmp_path_factory.mktemp("formats")
    for format in FORMATS:
        write(Stored.of(made[1], {"plan": {"lr": 1e-5}}), folder / format, format, base)
    return folder


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_between_any_two_formats_nothing_is_lost(source, target, files, made, base, tmp_path):
    seen = look(files / source)
    kind = format_of(seen)
    assert kind.__class__.__module__.endswith(f".{source}")
    write(kind.read(seen, base), tmp_path / "net", target, base)
    seen = look(tmp_path / "net")
    again = format_of(seen).read(seen, base)
    assert again.net.settings.global_pool and again.net.settings.condition_channels == 4
    assert again.metadata["plan"] == {"lr": 1e-5}
    assert again.net.origin.fingerprint == base.origin.fingerprint
    own = made[1].state_dict()
    assert again.pieces.keys() == own.keys()
    for name, piece in again.pieces.items():
        assert torch.equal(piece.load(), own[name]), name


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_described_without_its_base(format, files, made):
    told = describe(files / format)
    assert told["format"] == format
    assert told["trained"] and not told["dead_taps"] and not told["not_finite"]
    assert told["settings"]["condition_channels"] == 4 and told["settings"]["global_pool"]
    assert told["base"]["fingerprint"] == made[1].origin.fingerprint
    json.dumps(told)


@pytest.mark.parametrize("format", ["difference", "control_lora"])
def test_without_the_base_it_says_what_is_missing(format, files):
    with pytest.raises(CheckpointError, match=r"add base=…"):
        load_controlnet(files / format)
    with pytest.raises(CheckpointError, match=r"add base=…"):
        save_controlnet(trained("sd")[1], files / "none", format)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("format", FORMATS)
def test_narrow_precisions(format, dtype, made, tmp_path):
    tiny, net = made
    save_controlnet(net, tmp_path / "net", format, dtype=dtype, base=tiny.network)
    wanted = {"F16" if dtype == torch.float16 else "BF16"}
    assert set(look(tmp_path / "net").precisions) == wanted
    again = load_controlnet(tmp_path / "net", base=tiny.network)
    rough = 0.05 if dtype == torch.bfloat16 else 0.01
    for name, tensor in again.state_dict().items():
        assert torch.allclose(tensor, net.state_dict()[name], atol=rough, rtol=rough), name


def test_numbers_too_large_for_half_precision_are_refused(tmp_path):
    _, net = trained()
    with torch.no_grad():
        net.copy.conv_in.bias[0] = 1e6
    with pytest.raises(CheckpointError, match=r"copy.conv_in.bias holds numbers too large for F16.*bf16"):
        save_controlnet(net, tmp_path / "net.safetensors", dtype=torch.float16)
    assert not list(tmp_path.iterdir())


def beside(tensors):
    """Make a whole checkpoint of a control: base, autoencoder and schedule beside it."""
    control = {f"control_model.{name}": tensor for name, tensor in tensors.items()}
    return control | {
        "model.diffusion_model.out.2.weight": torch.ones(3),
        "first_stage_model.decoder.conv_in.weight": torch.ones(3),
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(3),
        "betas": torch.ones(3),
    }


WILD = {
    "bare": lambda t, p: save_file(t, p),
    "prefixed": lambda t, p: save_file({f"control_model.{k}": v for k, v in t.items()}, p),
    "whole": lambda t, p: save_file(beside(t), p),
    "pth": lambda t, p: torch.save(t, p),
    "pth of old": lambda t, p: torch.save(t, p, _use_new_zipfile_serialization=False),
    "under state_dict": lambda t, p: torch.save({"state_dict": beside(t), "epoch": 3, "global_step": 9}, p),
    "linear projections": lambda t, p: save_file(
        {k: v[..., 0, 0].contiguous() if "proj_" in k and v.ndim == 4 else v for k, v in t.items()}, p
    ),
    "parameters": lambda t, p: torch.save({k: torch.nn.Parameter(v) for k, v in t.items()}, p),
}


@pytest.mark.parametrize("name", WILD)
def test_the_original_layout_as_it_is_found(name, sd, tmp_path):
    tiny, net, tensors = sd
    WILD[name](tensors, tmp_path / "any.suffix")
    again = load_controlnet(tmp_path / "any.suffix", base=tiny.network)
    assert same(residuals(again, tiny), residuals(net, tiny))
    assert describe(tmp_path / "any.suffix")["format"] == "ldm"


@pytest.mark.parametrize("variant", UNet.variants)
def test_a_file_without_a_note_takes_from_the_base_what_shapes_do_not_tell(variant, tmp_path):
    tiny, net = trained(variant)
    for format in ("ldm", "diffusers_file"):
        save_controlnet(net, tmp_path / "told", format)
        save_file(load_file(tmp_path / "told"), tmp_path / "untold")
        again = load_controlnet(tmp_path / "untold", base=tiny.network)
        assert again.origin.name == ""
        assert same(residuals(again, tiny), residuals(net, tiny))


def test_folders_divided_or_of_a_variant(sd, tmp_path):
    tiny, net, _ = sd
    save_controlnet(net, tmp_path / "net", "diffusers")
    whole = tmp_path / "net" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    half = sorted(tensors)[: len(tensors) // 2]
    parts = {"one.safetensors": half, "two.safetensors": [name for name in tensors if name not in half]}
    for file, keys in parts.items():
        save_file({key: tensors[key] for key in keys}, tmp_path / "net" / file)
    index = {"weight_map": {key: file for file, keys in parts.items() for key in keys}}
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps(index))
    whole.rename(tmp_path / "net" / "diffusion_pytorch_model.fp16.safetensors")
    assert len(look(tmp_path / "net").files) == 2
    assert same(residuals(load_controlnet(tmp_path / "net", base=tiny.network), tiny), residuals(net, tiny))
    whole.with_name(f"{whole.name}.index.json").unlink()
    assert same(residuals(load_controlnet(tmp_path / "net", base=tiny.network), tiny), residuals(net, tiny))
    (tmp_path / "net" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    torch.save(tensors, tmp_path / "net" / "diffusion_pytorch_model.bin")
    assert same(residuals(load_controlnet(tmp_path / "net", base=tiny.network), tiny), residuals(net, tiny))


@pytest.mark.parametrize("parts", [{"a": "../../etc/passwd"}, {"a": 3}, {}, [1]], ids=str)
def test_an_index_names_files_of_its_folder_only(parts, sd, tmp_path):
    save_controlnet(sd[1], tmp_path / "net", "diffusers")
    whole = tmp_path / "net" / "diffusion_pytorch_model.safetensors"
    whole.with_name(f"{whole.name}.index.json").write_text(json.dumps({"weight_map": parts}))
    whole.unlink()
    with pytest.raises(CheckpointError, match="names no parts of this folder"):
        load_controlnet(tmp_path / "net")


def test_both_ways_strict_in_the_file_s_own_names(sd, tmp_path):
    tiny, _, tensors = sd
    fewer = {k: v for k, v in tensors.items() if k != "middle_block.2.in_layers.0.bias"}
    save_file(fewer | {"strange.weight": torch.ones(1)}, tmp_path / "net")
    message = r"1 missing \(middle_block.2.in_layers.0.bias\); 1 unexpected \(strange.weight\)"
    with pytest.raises(CheckpointError, match=message):
        load_controlnet(tmp_path / "net", base=tiny.network)


def test_differences_fill_unchanged_tensors_from_the_base(sd, tmp_path):
    tiny, net, _ = sd
    save_controlnet(net, tmp_path / "full", "difference", base=tiny.network)
    tensors = load_file(tmp_path / "full")
    dropped = "control_model.input_blocks.1.0.in_layers.0.weight"
    del tensors[dropped]
    save_file(tensors, tmp_path / "part")
    again = load_controlnet(tmp_path / "part", base=tiny.network)
    name = "down_blocks.0.resnets.0.norm1.weight"
    assert torch.equal(again.copy.state_dict()[name], tiny.network.state_dict()[name])
    # Single precision gives all others back to half a unit in the last place of the base.
    for key, tensor in net.copy.state_dict().items():
        if key != name:
            assert torch.allclose(again.copy.state_dict()[key], tensor, rtol=0, atol=2e-7), key


@pytest.mark.parametrize("format", ["difference", "control_lora"])
def test_what_a_copy_takes_from_its_base_is_memory_of_its_own(format, sd, tmp_path):
    tiny, net, _ = sd
    save_controlnet(net, tmp_path / "full", format, base=tiny.network)
    tensors = load_file(tmp_path / "full")
    kept = {k: v for k, v in tensors.items() if not k.endswith("input_blocks.1.0.in_layers.0.weight")}
    assert len(kept) == len(tensors) - 1
    save_file(kept, tmp_path / "part")
    again = load_controlnet(tmp_path / "part", base=tiny.network)
    own = {v.untyped_storage().data_ptr() for v in tiny.network.state_dict().values()}
    assert not own & {v.untyped_storage().data_ptr() for v in again.state_dict().values()}


@pytest.mark.parametrize("format", ["native", "diffusers_file", "ldm"])
def test_training_does_not_write_into_the_file_that_is_mapped(format, sd, tmp_path):
    tiny, net, _ = sd
    save_controlnet(net, tmp_path / "net", format)
    before = (tmp_path / "net").read_bytes()
    loaded, other = (load_controlnet(tmp_path / "net", base=tiny.network) for _ in range(2))
    with torch.no_grad():
        for parameter in loaded.parameters():
            parameter += 1
    assert (tmp_path / "net").read_bytes() == before
    assert same(other.parameters(), load_controlnet(tmp_path / "net", base=tiny.network).parameters())


def test_a_difference_added_to_another_base_is_a_transfer(sd, tmp_path):
    tiny, net, _ = sd
    other = UNet().tiny("sd", seed=1).network
    save_controlnet(net, tmp_path / "net", "difference", base=tiny.network)
    moved = load_controlnet(tmp_path / "net", base=other)
    key = "mid_block.resnets.0.conv1.weight"
    wanted = net.copy.state_dict()[key] + other.state_dict()[key] - tiny.network.state_dict()[key]
    assert torch.allclose(moved.copy.state_dict()[key], wanted, atol=1e-6)
