"""The names of the layouts, and what is inferred from shapes, at the published sizes on the meta device."""

from math import prod

import pytest

from controlnet.backbones._sizes import configuration, family
from controlnet.backbones.unet import UNet
from controlnet.checkpoints.infer import hint_settings
from controlnet.checkpoints.keys import Structure, renamed, to_diffusers, to_ldm
from controlnet.core.controlnet import ControlNet
from controlnet.errors import CheckpointError

SD15 = {"cross_attention_dim": 768, "attention_head_dim": 8}
SD21 = {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True}
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
}
MID = SDXL | {
    "down_block_types": ["DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"],
    "transformer_layers_per_block": 1,
}
SMALL = SDXL | {
    "down_block_types": ["DownBlock2D"] * 3,
    "up_block_types": ["UpBlock2D"] * 3,
    "mid_block_type": "UNetMidBlock2D",
    "transformer_layers_per_block": 1,
}
CASES = {
    "sd15": (SD15, 361_279_120, "Stable Diffusion 1.x"),
    "sd21": (SD21, 364_228_240, "Stable Diffusion 2.x"),
    "sdxl": (SDXL, 1_251_014_160, "Stable Diffusion XL"),
    "sdxl mid": (MID, None, "Stable Diffusion XL (smaller: transformer blocks 1)"),
    "sdxl small": (SMALL, None, "Stable Diffusion XL (small: no attention)"),
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    config, total, name = CASES[request.param]
    net = ControlNet.from_base(UNet().build(config))
    own = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
    return config, total, name, net, own


def test_every_parameter_has_one_name_in_each_layout(case):
    _, total, _, net, own = case
    theirs = to_diffusers(net)
    assert theirs.keys() == own.keys() and len(set(theirs.values())) == len(own)
    structure = Structure.of_diffusers(theirs.values())
    table = to_ldm(structure)
    assert len(set(table.values())) == len(table)
    ldm = renamed(theirs.values(), table)
    assert ldm.keys() == set(theirs.values()) and len(set(ldm.values())) == len(own)
    if total:
        assert sum(prod(shape) for shape in own.values()) == total
    # And back, from the names alone.
    assert Structure.of_ldm(ldm.values()) == structure
    back = renamed(ldm.values(), {new: old for old, new in table.items()})
    assert back == {new: old for old, new in ldm.items()}


def test_the_names_are_those_of_diffusers(case):
    from diffusers.models.controlnets.controlnet import ControlNetModel

    config, _, _, net, own = case
    import torch

    with torch.device("meta"):
        theirs = ControlNetModel.from_unet(UNet().build(config), load_weights_from_unet=False)
    shapes = {name: tuple(tensor.shape) for name, tensor in theirs.state_dict().items()}
    assert {their: own[name] for name, their in to_diffusers(net).items()} == shapes


def test_the_configuration_is_inferred_from_the_shapes(case):
    config, _, name, net, own = case
    shapes = {their: own[key] for key, their in to_diffusers(net).items()}
    inferred = configuration(shapes)
    assert {key: inferred[key] for key in config} == config
    assert family(inferred) == name
    assert hint_settings(shapes) == {
        "hint": "published",
        "condition_channels": 3,
        "hint_widths": [16, 32, 96, 256],
    }
    again = ControlNet.from_base(UNet().build(inferred))
    assert {key: tuple(tensor.shape) for key, tensor in again.state_dict().items()} == own


# Names as they stand in the published files, one of each kind.
PUBLISHED = {
    "conv_in.weight": "input_blocks.0.0.weight",
    "time_embedding.linear_2.bias": "time_embed.2.bias",
    "down_blocks.0.resnets.0.norm1.weight": "input_blocks.1.0.in_layers.0.weight",
    "down_blocks.0.resnets.1.conv1.weight": "input_blocks.2.0.in_layers.2.weight",
    "down_blocks.0.downsamplers.0.conv.bias": "input_blocks.3.0.op.bias",
    "down_blocks.1.resnets.0.time_emb_proj.weight": "input_blocks.4.0.emb_layers.1.weight",
    "down_blocks.1.resnets.0.conv_shortcut.weight": "input_blocks.4.0.skip_connection.weight",
    "down_blocks.2.resnets.1.norm2.bias": "input_blocks.8.0.out_layers.0.bias",
    "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight": (
        "input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight"
    ),
    "down_blocks.3.resnets.1.conv2.weight": "input_blocks.11.0.out_layers.3.weight",
    "mid_block.attentions.0.proj_in.weight": "middle_block.1.proj_in.weight",
    "mid_block.resnets.1.conv1.weight": "middle_block.2.in_layers.2.weight",
    "controlnet_cond_embedding.conv_in.weight": "input_hint_block.0.weight",
    "controlnet_cond_embedding.blocks.0.weight": "input_hint_block.2.weight",
    "controlnet_cond_embedding.blocks.5.bias": "input_hint_block.12.bias",
    "controlnet_cond_embedding.conv_out.weight": "input_hint_block.14.weight",
    "controlnet_down_blocks.11.weight": "zero_convs.11.0.weight",
    "controlnet_mid_block.bias": "middle_block_out.0.bias",
}


def test_known_names():
    assert renamed(PUBLISHED, to_ldm(Structure((2, 2, 2, 2), 8))) == PUBLISHED
    assert renamed(["add_embedding.linear_1.weight"], to_ldm(Structure((2, 2, 2), 8))) == {
        "add_embedding.linear_1.weight": "label_emb.0.0.weight"
    }
    assert renamed(["strange.weight"], to_ldm(Structure((2,), 8))) == {}


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({}, "0 levels"),
        ({"down_blocks.0.resnets.0.conv1.weight": (8, 8, 3, 3)}, "conv_in.weight is missing"),
        ({"down_blocks.0.resnets.0.conv1.weight": (8,)}, "has the shape"),
        ({f"down_blocks.{i}.resnets.0.conv1.weight": (8, 8, 3, 3) for i in range(100)}, "100 levels"),
    ],
)
def test_shapes_of_no_network_are_refused(shapes, message):
    with pytest.raises(CheckpointError, match=message):
        configuration(shapes)
