"""A random model for `depth_anything_v2`: that of transformers, tiny."""

from typing import Any

import torch


def tiny() -> Any:
    """Return transformers' DepthAnything, seeded."""
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=8,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4,
        head_hidden_size=4,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DepthAnythingForDepthEstimation(config)


def place_random() -> None:
    """Put it into the cache."""
    from controlnet.conditions._networks.depth_anything import DepthAnything, depth_anything
    from controlnet.conditions._networks.load import place

    place(depth_anything, DepthAnything(tiny()))
