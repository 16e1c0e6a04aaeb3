"""Broken files and folders: one clear line for each."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from controlnet.checkpoints import load_controlnet
from controlnet.errors import CheckpointError


def rewrite(path, change):
    """Change the tensors or the notes of a weight file."""
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        notes = file.metadata()
    tensors = load_file(path)
    change(tensors, notes)
    save_file(tensors, path, notes)


def renote(path, **changes):
    def change(_, notes):
        notes["controlnet"] = json.dumps({**json.loads(notes["controlnet"]), **changes})

    rewrite(path, change)


DAMAGES = {
    "cut short": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "no whole safetensors file"),
    "only a head": (lambda p: p.write_bytes(p.read_bytes()[:20]), "no whole safetensors file"),
    "empty": (lambda p: p.write_bytes(b""), "no whole safetensors file"),
    "a picture": (lambda p: p.write_bytes(b"\x89PNG\r\n" + bytes(500)), "no whole safetensors file"),
    "a pickle": (lambda p: torch.save({"a": torch.ones(2)}, p), r"1 tensors \(a …\); wanted"),
    "absent": (lambda p: p.unlink(), "no file or folder of that name"),
    "a missing tensor": (
        lambda p: rewrite(p, lambda t, n: t.pop("hint.0.bias")),
        r"1 missing \(hint.0.bias\)",
    ),
    "a strange tensor": (
        lambda p: rewrite(p, lambda t, n: t.update(more=torch.ones(1))),
        r"1 unexpected \(more\)",
    ),
    "a tensor of another size": (
        lambda p: rewrite(p, lambda t, n: t.update({"hint.0.bias": torch.ones(3)})),
        r"hint.0.bias \(3,\), not \(16,\)",
    ),
    "foreign tensors": (
        lambda p: save_file({"lora_up": torch.ones(2)}, p),
        r"1 tensors \(lora_up …\); wanted",
    ),
    "notes no json": (lambda p: rewrite(p, lambda t, n: n.update(controlnet="{")), "wanted a JSON object"),
    "notes a list": (lambda p: rewrite(p, lambda t, n: n.update(controlnet="[]")), "wanted a JSON object"),
    "notes incomplete": (
        lambda p: rewrite(p, lambda t, n: n.update(controlnet='{"format": 1}')),
        "incomplete",
    ),
    "a newer version": (lambda p: renote(p, format=2), "format version 2"),
    "another backbone": (lambda p: renote(p, backbone="os:system"), "none of unet"),
    "unknown settings": (lambda p: renote(p, settings={"hints": 1}), "describes no network"),
    "no network": (
        lambda p: renote(
            p, base={"name": "", "fingerprint": "", "configuration": {"block_out_channels": [7]}}
        ),
        "describes no network",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_broken_file_is_one_clear_error(name, native):
    damage, message = DAMAGES[name]
    damage(native)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_controlnet(native)
    assert "\n" not in str(caught.value)


FOLDER_DAMAGES = {
    "no config": (lambda p: (p / "config.json").unlink(), "config.json"),
    "no weights": (
        lambda p: (p / "diffusion_pytorch_model.safetensors").unlink(),
        "copy the weights into it",
    ),
    "another class": (
        lambda p: (p / "config.json").write_text('{"_class_name": "FluxControlNetModel"}'),
        "is a ControlNet of a transformer",
    ),
    "a smaller config": (
        lambda p: (p / "config.json").write_text(
            '{"_class_name": "ControlNetModel", "block_out_channels": [4]}'
        ),
        "describes no network",
    ),
    "a missing tensor": (
        lambda p: rewrite(p / "diffusion_pytorch_model.safetensors", lambda t, n: t.pop("conv_in.bias")),
        r"1 missing \(conv_in.bias\)",
    ),
    "a strange tensor": (
        lambda p: rewrite(
            p / "diffusion_pytorch_model.safetensors", lambda t, n: t.update(more=torch.ones(1))
        ),
        r"1 unexpected \(more\)",
    ),
}


@pytest.mark.parametrize("name", FOLDER_DAMAGES)
def test_a_broken_folder_is_one_clear_error(name, theirs):
    damage, message = FOLDER_DAMAGES[name]
    damage(theirs)
    with pytest.raises(CheckpointError, match=message):
        load_controlnet(theirs)
