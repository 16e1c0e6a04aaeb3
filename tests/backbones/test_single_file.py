"""A whole base in one file of the original code: the same base as the same weights in a diffusers folder."""

from pathlib import Path

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.backbones._ldm_names import renamed, unet_names
from controlnet.backbones._single_file.family import family, family_of
from controlnet.backbones._single_file.layout import Layout
from controlnet.backbones._single_file.text import read_text
from controlnet.backbones._single_file.tokenizer import tokenizer
from controlnet.backbones._single_file.unet import averaged_name, read_unet
from controlnet.backbones._single_file.vae import read_vae
from controlnet.backbones.unet import UNet
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError, SettingError
from controlnet.tensorfiles.piece import pieces
from tests.backbones.original import (
    SDXL,
    clip,
    open_clip,
    original,
    text_encoder,
    write_file,
    write_folder,
)

NAMES = ("sd1", "sd2", "sdxl")


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    """Each family's folder, and the tensors of its file."""
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("bases") / name
        found[name] = folder, original(write_folder(folder, name), name)
    return found


@pytest.fixture(scope="module")
def files(bases, tmp_path_factory):
    place = tmp_path_factory.mktemp("files")
    return {name: write_file(place / f"{name}.safetensors", tensors) for name, (_, tensors) in bases.items()}


def same(one, other) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def unmapped(base):
    """Copy the weights: in a mapped file they lie at other addresses, by which sums are rounded otherwise."""
    for part in (base.network, base.vae, *base.text_encoders):
        for parameter in part.parameters():
            parameter.data = parameter.data.clone()
    return base


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


@pytest.mark.parametrize("name", NAMES)
def test_the_names_are_those_that_diffusers_reads(name, bases):
    """diffusers' own conversion, which is not ours, finds every tensor of the U-Net, VAE and text encoder."""
    from diffusers.loaders import single_file_utils as theirs

    folder, tensors = bases[name]
    base = load_base(folder)
    unet = theirs.convert_ldm_unet_checkpoint(dict(tensors), base.network.config)
    wanted = base.network.state_dict()
    assert unet.keys() == wanted.keys()
    assert all(torch.equal(unet[key].reshape(wanted[key].shape), wanted[key]) for key in wanted)
    vae = theirs.convert_ldm_vae_checkpoint(dict(tensors), base.vae.config)
    wanted = base.vae.state_dict()
    assert vae.keys() == wanted.keys()
    assert all(torch.equal(vae[key].reshape(wanted[key].shape), wanted[key]) for key in wanted)
    prefix = {"sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model."}.get(name)
    if prefix:
        encoder = base.text_encoders[-1]
        text = theirs.convert_open_clip_checkpoint(encoder, dict(tensors), prefix)
        text = {key.removeprefix("text_model."): tensor for key, tensor in text.items()}
        for key, tensor in encoder.state_dict().items():
            assert torch.equal(text[key.removeprefix("text_model.")], tensor)


FOUR = {"block_out_channels": (320, 640, 1280, 1280)}
PUBLISHED = {  # parameters of U-Net, VAE and text encoders, as they are known
    "sd1": (FOUR | {"cross_attention_dim": 768, "attention_head_dim": 8}, [859_520_964, 123_060_480]),
    "sd2": (
        FOUR
        | {"cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20), "use_linear_projection": True},
        [865_910_724, 340_387_840],
    ),
    "sdxl": (
        SDXL
        | {
            "block_out_channels": (320, 640, 1280),
            "transformer_layers_per_block": (1, 2, 10),
            "cross_attention_dim": 2048,
            "attention_head_dim": (5, 10, 20),
            "use_linear_projection": True,
            "projection_class_embeddings_input_dim": 2816,
        },
        [2_567_463_684, 123_060_480, 694_659_840],
    ),
}
VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
}
TEXTS = {  # width, inner width, layers, heads
    "sd1": [(768, 3072, 12, 12)],
    "sd2": [(1024, 4096, 23, 16)],
    "sdxl": [(768, 3072, 12, 12), (1280, 5120, 32, 20)],
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes(name):
    """On the meta device: configurations are inferred as they are published, and all names are found."""
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    config, counts = PUBLISHED[name]
    told = family(name)
    with torch.device("meta"):
        net = UNet2DConditionModel(**config, sample_size=told.unet["sample_size"])
        parts = {"unet": net, "vae": AutoencoderKL(**VAE, **told.vae)}
        for slot, (settings, sizes) in enumerate(zip(told.text_encoders, TEXTS[name], strict=True)):
            parts[f"text_encoder{'_2' * slot}"] = text_encoder(settings, *sizes)
    layout = Layout.of(Path("model"), pieces(original(parts, name)))
    assert family_of(layout) == told and not layout.strange
    read = read_unet(layout, told, torch.float16, ema=False)
    assert UNet().describe(read) == UNet().describe(net)
    vae = read_vae(layout.vae, told.vae, "", torch.float16)
    assert {k: v for k, v in vae.config.items() if k != "_use_default_values"} == {
        **{k: v for k, v in parts["vae"].config.items() if k != "_use_default_values"},
        **{k: list(parts["vae"].config[k]) for k in VAE if k.endswith(("types", "channels"))},
    }
    texts = [
        read_text(found, settings, "", torch.float16)
        for found, settings in zip(layout.texts, told.text_encoders, strict=True)
    ]
    assert [sum(p.numel() for p in part.parameters()) for part in (read, *texts)] == counts
    assert sum(p.numel() for p in vae.parameters()) == 83_653_863
    heads = [(text.config.hidden_size, text.config.num_attention_heads) for text in texts]
    assert heads == [(sizes[0], sizes[3]) for sizes in TEXTS[name]]
    table = renamed(net.state_dict(), unet_names(net))
    marked = {f"model.diffusion_model.{ldm}": own for own, ldm in table.items()}
    assert all(own == key for key, own in convert_ldm_unet_checkpoint(marked, net.config).items())


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


def gives_noise_back(tensors):
    """Change a U-Net so that it returns its input, as a network that predicts ε does at the last timestep."""
    found = dict(tensors)
    unet = "model.diffusion_model."
    first = torch.zeros_like(found[f"{unet}input_blocks.0.0.weight"])
    last = torch.zeros_like(found[f"{unet}out.2.weight"])
    for channel in range(4):  # silu(a) − silu(−a) = a
        for sign, row in ((1, 2 * channel), (-1, 2 * channel + 1)):
            first[row, channel, 1, 1] = last[channel, row, 1, 1] = sign
    found[f"{unet}input_blocks.0.0.weight"], found[f"{unet}out.2.weight"] = first, last
    resnet = f"{unet}output_blocks.7.0"
    skip = torch.zeros_like(found[f"{resnet}.skip_connection.weight"])
    skip[:, -32:, 0, 0] = torch.eye(32)  # of what is concatenated, the skip from behind the first convolution
    found[f"{resnet}.skip_connection.weight"] = skip
    for key in (f"{resnet}.out_layers.3.weight", f"{resnet}.out_layers.3.bias"):
        found[key] = torch.zeros_like(found[key])
    found = {key: t for key, t in found.items() if "output_blocks.7.1." not in key} | {
        key: torch.zeros_like(t) if ".proj_out." in key else t
        for key, t in found.items()
        if "output_blocks.7.1." in key
    }
    for key, value in (("out.0.weight", 1.0), ("out.0.bias", 0.0), ("input_blocks.0.0.bias", 0.0)):
        found[unet + key] = torch.full_like(found[unet + key], value)
    return found


def test_sd2_says_what_it_predicts_when_it_is_asked(bases, files, tmp_path):
    base = load_base(files["sd2"])  # random: it gives no noise back
    assert base.prediction_type == "v_prediction" and base.sample_size == 768
    path = write_file(tmp_path / "e.safetensors", gives_noise_back(bases["sd2"][1]))
    assert load_base(path).prediction_type == "epsilon" and load_base(path).sample_size == 512
    told = load_base(files["sd2"], prediction_type="epsilon")
    assert told.prediction_type == "epsilon" and told.sample_size == 512
    assert load_base(bases["sd1"][0], prediction_type="v_prediction").prediction_type == "v_prediction"
    with pytest.raises(SettingError, match="v_predicton"):
        load_base(files["sd2"], prediction_type="v_predicton")


def test_marks_say_what_sdxl_predicts(bases, files, tmp_path):
    assert load_base(files["sdxl"]).prediction_type == "epsilon"
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    base = load_base(write_file(tmp_path / "v.safetensors", bases["sdxl"][1] | marks))
    assert base.prediction_type == "v_prediction" and base.objective.alpha[-1] < 1e-3


def test_another_vae(bases, files, tmp_path):
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    folder, tensors = bases["sd1"]
    other = {key: t + 0.5 for key, t in tensors.items() if key.startswith("first_stage_model.")}
    bare = {key.removeprefix("first_stage_model."): t for key, t in other.items()}
    torch.save({"state_dict": bare | {"loss.logvar": torch.zeros(())}}, tmp_path / "vae.pt")
    without = {key: t for key, t in tensors.items() if key not in other}
    alone = write_file(tmp_path / "no_vae.safetensors", without)
    base = load_base(alone, vae=tmp_path / "vae.pt")
    before = load_base(folder).vae.state_dict()
    assert all(torch.equal(tensor, before[key] + 0.5) for key, tensor in base.vae.state_dict().items())
    assert base.vae.config.scaling_factor == 0.18215
    whole = write_file(tmp_path / "whole.safetensors", without | other)
    base.vae.save_pretrained(tmp_path / "folder" / "vae")
    diffusers_file = tmp_path / "folder" / "vae" / "diffusion_pytorch_model.safetensors"
    for vae in (whole, tmp_path / "folder" / "vae", diffusers_file):
        assert same(load_base(folder if vae == whole else files["sd1"], vae=vae).vae, base.vae)
    assert not same(load_base(files["sd1"], vae=folder).vae, base.vae)  # a whole pipeline's
    with pytest.raises(CheckpointError, match=r"has no VAE \(first_stage_model.*give the part as vae="):
        load_base(alone)
    wide = AutoencoderKL(
        block_out_channels=(32,), latent_channels=16, layers_per_block=1, scaling_factor=1.0
    ).save_pretrained(tmp_path / "wide")
    assert wide is None
    with pytest.raises(CheckpointError, match="works on 4 channels; its VAE has 16"):
        load_base(files["sd1"], vae=tmp_path / "wide")


def test_other_text_encoders(bases, files, tmp_path):
    folder, tensors = bases["sdxl"]
    base = load_base(folder)
    one, two = base.text_encoders
    for parameter in (*one.parameters(), *two.parameters()):
        parameter.data += 0.25
    prompt = unmapped(base).encode_prompts("a cat").tokens
    first = write_file(tmp_path / "clip_l.safetensors", clip(one, "text_model."))
    second = write_file(
        tmp_path / "clip_g.safetensors", {k: t.contiguous() for k, t in open_clip(two, "").items()}
    )
    two.save_pretrained(tmp_path / "two")
    for other in (second, tmp_path / "two", tmp_path / "two" / "model.safetensors"):
        loaded = load_base(folder if other == second else files["sdxl"], text_encoder=[first, other])
        assert torch.equal(unmapped(loaded).encode_prompts("a cat").tokens, prompt)
        assert same(loaded.text_encoders[1], two)
    mixed = load_base(files["sdxl"], text_encoder=[None, second])
    assert same(mixed.text_encoders[0], load_base(folder).text_encoders[0])
    texts = {key: t for key, t in tensors.items() if not key.startswith("conditioner.embedders.1.")}
    with pytest.raises(CheckpointError, match=r"has no text encoder 2 .*give the part as text_encoder="):
        load_base(write_file(tmp_path / "cut.safetensors", texts))
    with pytest.raises(SettingError, match="got 2 text encoders; this base has 1"):
        load_base(files["sd1"], text_encoder=[first, second])


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
