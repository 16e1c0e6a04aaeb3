"""The parameter counts of the published ControlNets, on the meta device: shapes without weights."""

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel

from controlnet.backbones.unet import UNet
from controlnet.core.controlnet import ControlNet

SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8, "sample_size": 64}
SD21 = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
    "sample_size": 96,
}
SDXL = {
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
}


def count(parameters) -> int:
    return sum(p.numel() for p in parameters)


@pytest.mark.parametrize(
    ("configuration", "channels", "total"),
    [
        (SD15, [320] * 4 + [640] * 3 + [1280] * 6, 361_279_120),
        (SD21, [320] * 4 + [640] * 3 + [1280] * 6, 364_228_240),
    ],
    ids=["sd15", "sd21"],
)
def test_stable_diffusion(configuration, channels, total):
    net = ControlNet.from_base(UNet().build(configuration))
    assert [tap.channels for tap in net.taps] == channels
    assert count(net.parameters()) == total
    assert {p.device.type for p in net.parameters()} == {"meta"}


def test_the_parts_of_sd15():
    groups = ControlNet.from_base(UNet().build(SD15)).parameter_groups()
    assert {name: count(group) for name, group in groups.items()} == {
        "copy": 348_712_960,
        "hint": 1_086_480,
        "zero": 11_479_680,
    }


def test_sdxl_has_the_size_that_diffusers_gives_it():
    network = UNet().build(SDXL)
    net = ControlNet.from_base(network)
    assert [tap.channels for tap in net.taps] == [320] * 4 + [640] * 3 + [1280] * 3
    assert [tap.stride for tap in net.taps] == [1, 1, 1, 2, 2, 2, 4, 4, 4, 4]
    with torch.device("meta"):
        theirs = ControlNetModel.from_unet(network, load_weights_from_unet=False)
    assert count(net.parameters()) == count(theirs.parameters())
