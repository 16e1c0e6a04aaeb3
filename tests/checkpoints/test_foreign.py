"""What is no ControlNet of ours is named for what it is."""

import json

import pytest
import torch
from safetensors.torch import save_file

from controlnet.checkpoints import load_controlnet
from controlnet.errors import CheckpointError

FILES = {
    "a Union ControlNet": ["controlnet_cond_embedding.conv_in.weight", "conv_in.weight", "task_embedding"],
    "a ControlNet-XS": ["down_blocks.0.base_to_ctrl.0.weight", "controlnet_cond_embedding.conv_in.weight"],
    "a T2I-Adapter": ["adapter.body.0.resnets.0.block1.weight", "adapter.conv_in.weight"],
    "a ControlNet-LLLite": ["lllite_unet_input_blocks_4_1.conditioning1.0.weight"],
    "an IP-Adapter": ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"],
    "a LoRA": ["base_model.model.down_blocks.0.attentions.0.lora_A.weight"],
    "a LoRA of kohya": ["lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight"],
    "a ControlNet of a transformer": ["controlnet_blocks.0.weight", "transformer_blocks.0.attn.to_q.weight"],
    "a base without a control": ["model.diffusion_model.input_blocks.0.0.weight"],
    "a base's U-Net": ["conv_in.weight", "up_blocks.0.resnets.0.conv1.weight"],
    "an autoencoder": ["decoder.up.0.block.0.conv1.weight", "encoder.conv_in.weight"],
}


@pytest.mark.parametrize("noun", FILES)
def test_files(noun, tmp_path):
    save_file({name: torch.ones(2) for name in FILES[noun]}, tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=f"is {noun.removesuffix(' of kohya')}.*; wanted a ControlNet"):
        load_controlnet(tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("kind", "noun"),
    [
        ("ControlNetUnionModel", "a Union ControlNet"),
        ("ControlNetXSAdapter", "a ControlNet-XS"),
        ("T2IAdapter", "a T2I-Adapter"),
        ("FluxControlNetModel", "a ControlNet of a transformer"),
        ("UNet2DConditionModel", "a base's U-Net"),
        ("SomethingElse", "a folder of class SomethingElse"),
    ],
)
def test_folders(kind, noun, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": kind}))
    save_file({"weight": torch.ones(2)}, tmp_path / "diffusion_pytorch_model.safetensors")
    with pytest.raises(CheckpointError, match=f"is {noun}"):
        load_controlnet(tmp_path)
