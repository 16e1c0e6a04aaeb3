"""Bit for bit the residuals and outputs of diffusers' ControlNetModel, on the same weights, all random."""

import pytest
import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from torch import nn

from controlnet.backbones.unet import UNet
from controlnet.core.context import Context
from controlnet.core.controlled import denoise
from controlnet.core.controlnet import ControlNet

LATENTS = [(8, 8), (16, 8), (12, 20), (9, 13)]  # the last: sides that no level halves evenly


def randomised(network, **changes) -> ControlNet:
    net = ControlNet.from_base(network, **changes)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return net


def of_diffusers(network, net: ControlNet) -> ControlNetModel:
    """Their ControlNet with our weights, part by part."""
    theirs = ControlNetModel.from_unet(network, conditioning_channels=net.settings.condition_channels)
    theirs.to(net.dtype)
    for name in ("conv_in", "time_embedding", "class_embedding", "add_embedding", "down_blocks", "mid_block"):
        part = getattr(net.copy, name, None)
        if part is not None:
            getattr(theirs, name).load_state_dict(part.state_dict())
    convs = [layer for layer in net.hint if isinstance(layer, nn.Conv2d)]
    embedding = theirs.controlnet_cond_embedding
    for mine, their in zip(convs, (embedding.conv_in, *embedding.blocks, embedding.conv_out), strict=True):
        their.load_state_dict(mine.state_dict())
    zeros = (*theirs.controlnet_down_blocks, theirs.controlnet_mid_block)
    for mine, their in zip(net.zeros.values(), zeros, strict=True):
        their.load_state_dict(mine.state_dict())
    return theirs


def compare(network, x, timestep, context: Context, condition, **changes) -> None:
    net = randomised(network, **changes)
    theirs = of_diffusers(network, net)
    added = {"text_embeds": context.text_embeds, "time_ids": context.time_ids}
    settings = {
        "class_labels": context.class_labels,
        "added_cond_kwargs": {} if context.text_embeds is None else added,
        "return_dict": False,
    }
    down, middle = theirs(x, timestep, context.tokens, controlnet_cond=condition, **settings)
    residuals = net(x, timestep, context, condition)
    assert len(residuals) == len(down) + 1
    assert all(map(torch.equal, residuals, (*down, middle)))
    wanted = network(
        x,
        timestep,
        context.tokens,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        **settings,
    )[0]
    y = denoise(network, x, timestep, context, residuals)
    assert torch.equal(y, wanted)
    assert not torch.allclose(y, denoise(network, x, timestep, context))


@torch.no_grad()
@pytest.mark.parametrize("precision", [torch.float32, torch.float64], ids=["single", "double"])
@pytest.mark.parametrize("latents", LATENTS, ids=lambda sides: "x".join(map(str, sides)))
@pytest.mark.parametrize("variant", UNet.variants)
def test_sizes_and_precisions(variant, latents, precision):
    tiny = UNet().tiny(variant)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(2, 4, *latents, generator=generator).to(precision)
    condition = torch.rand(2, 3, *(8 * side for side in latents), generator=generator).to(precision)
    context = tiny.context.to(dtype=precision)
    compare(tiny.network.to(precision), x, tiny.timestep, context, condition)


@torch.no_grad()
@pytest.mark.parametrize("timestep", [999, 3.5, torch.tensor(7), torch.tensor([7])])
def test_timesteps_of_every_kind(timestep):
    tiny = UNet().tiny("sd")
    compare(tiny.network, tiny.x, timestep, tiny.context, tiny.condition)


@torch.no_grad()
def test_more_channels_in_the_condition():
    tiny = UNet().tiny("sd")
    compare(tiny.network, tiny.x, 5, tiny.context, torch.rand(2, 6, 128, 128), condition_channels=6)


@torch.no_grad()
@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        ({"num_class_embeds": 5}, torch.tensor([1, 4])),
        ({"class_embed_type": "timestep"}, torch.tensor([20, 350])),
        ({"class_embed_type": "projection", "projection_class_embeddings_input_dim": 6}, torch.randn(2, 6)),
    ],
    ids=["numbered", "timestep", "projection"],
)
def test_class_embeddings(changes, labels):
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    tiny = UNet().tiny("sd")
    torch.manual_seed(0)
    network = UNet2DConditionModel(**{**UNet().describe(tiny.network), **changes}).eval()
    context = Context(tiny.context.tokens, class_labels=labels)
    compare(network, tiny.x, tiny.timestep, context, tiny.condition)


@torch.no_grad()
def test_global_pooling():
    tiny = UNet().tiny("sd")
    net = randomised(tiny.network, global_pool=True)
    theirs = of_diffusers(tiny.network, net)
    theirs.register_to_config(global_pool_conditions=True)
    down, middle = theirs(
        tiny.x, tiny.timestep, tiny.context.tokens, controlnet_cond=tiny.condition, return_dict=False
    )
    residuals = net(tiny.x, tiny.timestep, tiny.context, tiny.condition)
    assert all(torch.equal(a, b.expand_as(a)) for a, b in zip(residuals, (*down, middle), strict=True))
