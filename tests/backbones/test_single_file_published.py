"""A base in one file, against what is published: diffusers' names for it, and its full sizes."""

from pathlib import Path

import pytest
import torch

from controlnet.backbones import load_base
from controlnet.backbones._ldm_names import renamed, unet_names
from controlnet.backbones._single_file.family import family, family_of
from controlnet.backbones._single_file.layout import Layout
from controlnet.backbones._single_file.text import read_text
from controlnet.backbones._single_file.unet import read_unet
from controlnet.backbones._single_file.vae import read_vae
from controlnet.backbones.unet import UNet
from controlnet.tensorfiles.piece import pieces
from tests.backbones.original import NAMES, SDXL, original, text_encoder


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
