"""The names that LoRA files may use for the layers of a base."""

import pytest
from torch import nn

from controlnet.backbones import Base
from controlnet.backbones.unet import UNet
from controlnet.checkpoints.lora_keys import layers


@pytest.mark.parametrize("variant", UNet.variants)
def test_every_layer_of_a_network_has_a_name_of_its_own(variant: str) -> None:
    """In kohya's layout, by diffusers' names and by the original ones."""
    network = UNet().tiny(variant).network
    found = layers(Base(variant, network, nn.Identity(), (), (), {}))
    wanted = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    for begins in (
        (
            "lora_unet_down",
            "lora_unet_up",
            "lora_unet_mid_",
            "lora_unet_conv",
            "lora_unet_time_embedding",
            "lora_unet_add",
        ),
        (
            "lora_unet_input",
            "lora_unet_output",
            "lora_unet_middle",
            "lora_unet_out_",
            "lora_unet_time_embed_",
            "lora_unet_label",
        ),
    ):
        named = [layer for name, layer in found.items() if name.startswith(begins)]
        assert len(named) == len({id(layer) for layer in named}) == len(wanted)
