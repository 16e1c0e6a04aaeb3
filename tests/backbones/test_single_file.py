"""A whole base in one file of the original code: the same base as the same weights in a diffusers folder."""

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.backbones._single_file.tokenizer import tokenizer
from controlnet.backbones._single_file.unet import averaged_name
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, SettingError
from tests.backbones.original import NAMES, same, unmapped, write_file


def predictions(base):
    torch.manual_seed(1)
    context = base.encode_prompts(["a photo of a cat", "It's 3 o'clock, naïve café …"], size=(64, 96))
    pixels = torch.rand(2, 3, 64, 96) * 2 - 1
    z = base.encode_pixels(pixels)
    return denoise(base, z, 700, context), base.decode_latents(z), context.tokens


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_the_same_base_as_the_folder(name, bases, files):
    folder = unmapped(load_base(bases[name][0]))
    base = unmapped(load_base(files[name]))
    assert base.name == name
    assert all(map(torch.equal, predictions(base), predictions(folder)))
    assert same(base.network, folder.network) and same(base.vae, folder.vae)
    assert all(map(same, base.text_encoders, folder.text_encoders))
    assert base.fingerprint() == folder.fingerprint()
    told = [each.backbone.describe(each.network) for each in (base, folder)]
    assert {key for key in told[0] if told[0][key] != told[1][key]} <= {"sample_size"}
    net = ControlNet.from_base(base)
    assert net.origin.name == name and not any(p.is_meta for p in net.parameters())


@pytest.mark.parametrize("nested", [False, True])
def test_a_pickle_of_tensors_in_half_precision(nested, bases, files, tmp_path):
    folder, tensors = bases["sd1"]
    halves = {key: t.half() if t.is_floating_point() else t for key, t in tensors.items()}
    content = {"state_dict": halves, "global_step": 5, "epoch": 1} if nested else halves
    torch.save(content, tmp_path / "model.ckpt")
    base = load_base(tmp_path / "model.ckpt")
    assert base.dtype == base.vae.dtype == base.text_encoders[0].dtype == torch.float32
    assert base.fingerprint() == load_base(folder).fingerprint()
    assert load_base(files["sd1"], dtype=torch.bfloat16).text_encoders[0].dtype == torch.bfloat16


def test_a_pickle_that_runs_something_is_refused(tmp_path):
    class Bad:
        def __reduce__(self):
            return print, ("ran",)

    torch.save({"state_dict": Bad()}, tmp_path / "model.ckpt")
    with pytest.raises(CheckpointError, match="refused"):
        load_base(tmp_path / "model.ckpt")


def test_moving_averages_are_left_out_unless_asked_for(bases, files, tmp_path):
    _, tensors = bases["sd1"]
    prefix = "model.diffusion_model."
    averages = {
        f"model_ema.{averaged_name(key.removeprefix(prefix))}": t + 1
        for key, t in tensors.items()
        if key.startswith(prefix)
    }
    assert "model_ema.diffusion_modelinput_blocks00weight" in averages
    more = {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    path = write_file(tmp_path / "both.safetensors", tensors | averages | more)
    plain = load_base(files["sd1"]).network
    assert same(load_base(path).network, plain)
    averaged = load_base(path, ema=True).network.state_dict()
    assert all(torch.equal(averaged[key], t + 1) for key, t in plain.state_dict().items())
    with pytest.raises(CheckpointError, match="no moving average"):
        load_base(files["sd1"], ema=True)
    averages.popitem()
    with pytest.raises(CheckpointError, match=r"1 missing \(model_ema\.diffusion_model"):
        load_base(write_file(tmp_path / "cut.safetensors", tensors | averages), ema=True)


def test_the_tokenizer_is_clip_s():
    ids = tokenizer("<|endoftext|>")("a photo of a cat", padding="max_length").input_ids
    assert ids == [49406, 320, 1125, 539, 320, 2368, *[49407] * 71]
    assert tokenizer("!")("", padding="max_length").input_ids == [49406, 49407, *[0] * 75]
    assert len(tokenizer("!")) == 49408
    assert tokenizer("!")("Hello, World 2024!").input_ids[1:-1] == [3306, 267, 1002, 273, 271, 273, 275, 256]


BREAKAGES = {
    "no U-Net": (lambda t: {k: v for k, v in t.items() if "diffusion" not in k}, "has no U-Net"),
    "stranger": (lambda t: t | {"lora.x": torch.ones(1)}, r"1 tensors that are part of no base.*lora\.x"),
    "missing": (
        lambda t: {k: v for k, v in t.items() if not k.endswith("out.2.bias")},
        r"the U-Net of .*1 missing \(model\.diffusion_model\.out\.2\.bias\)",
    ),
    "unexpected": (
        lambda t: t | {"first_stage_model.decoder.more": torch.ones(1)},
        r"the VAE of .*1 unexpected \(decoder\.more\)",
    ),
    "text cut": (
        lambda t: {k: v for k, v in t.items() if not k.endswith("layers.1.mlp.fc2.bias")},
        r"the text encoder of .*1 missing \(transformer\.text_model\.encoder\.layers\.1\.mlp\.fc2\.bias\)",
    ),
    "refiner": (
        lambda t: t | {"model.diffusion_model.label_emb.0.0.weight": torch.ones(4, 4)},
        "with labels.*wanted Stable Diffusion 1.x, 2.x or XL",
    ),
    "no text encoder": (
        lambda t: {k: v for k, v in t.items() if "cond_stage" not in k},
        r"has no text encoder \(cond_stage_model",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_what_is_wrong_is_told_in_one_line(name, bases, tmp_path):
    change, message = BREAKAGES[name]
    path = write_file(tmp_path / "model.safetensors", change(bases["sd1"][1]))
    with pytest.raises(CheckpointError, match=message) as caught:
        load_base(path)
    assert "\n" not in str(caught.value)


def test_what_a_folder_cannot_be_asked_for(bases):
    with pytest.raises(SettingError, match="ema=True for the folder"):
        load_base(bases["sd1"][0], ema=True)
