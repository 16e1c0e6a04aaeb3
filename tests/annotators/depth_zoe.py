"""A random model for `depth_zoe`: that of transformers, tiny."""

from typing import Any

import torch


def tiny() -> Any:
    """Return transformers' ZoeDepth with two kinds of scenes, seeded."""
    from transformers import BeitConfig, ZoeDepthConfig, ZoeDepthForDepthEstimation

    backbone = BeitConfig(
        hidden_size=8,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=8,
        image_size=64,
        patch_size=16,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
        reshape_hidden_states=False,
        use_relative_position_bias=True,
    )
    config = ZoeDepthConfig(
        backbone_config=backbone,
        neck_hidden_sizes=[4, 4, 4, 4],
        fusion_hidden_size=4,
        bottleneck_features=4,
        num_relative_features=4,
        bin_embedding_dim=4,
        num_attractors=[2, 2, 2, 2],
        bin_configurations=[
            {"name": "nyu", "n_bins": 4, "min_depth": 0.001, "max_depth": 10.0},
            {"name": "kitti", "n_bins": 4, "min_depth": 0.001, "max_depth": 80.0},
        ],
        num_patch_transformer_layers=4,
        patch_transformer_hidden_size=128,  # its classifier takes no other
        patch_transformer_intermediate_size=8,
        patch_transformer_num_attention_heads=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ZoeDepthForDepthEstimation(config)


def place_random() -> None:
    """Put it into the cache."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.zoe import Zoe, zoe

    place(zoe, Zoe(tiny()))
