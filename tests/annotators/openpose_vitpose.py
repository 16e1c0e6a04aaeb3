"""Random models for `openpose_vitpose`: those of transformers, tiny."""

from typing import Any

import torch


def tiny() -> tuple[Any, Any]:
    """Return transformers' RT-DETR and ViTPose, seeded."""
    from transformers import (
        RTDetrConfig,
        RTDetrForObjectDetection,
        RTDetrResNetConfig,
        VitPoseBackboneConfig,
        VitPoseConfig,
        VitPoseForPoseEstimation,
    )

    resnet = RTDetrResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 8, 8],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
    )
    finding = RTDetrConfig(
        backbone_config=resnet,
        encoder_hidden_dim=8,
        encoder_in_channels=[8, 8, 8],
        encoder_ffn_dim=8,
        encoder_attention_heads=2,
        d_model=8,
        decoder_in_channels=[8, 8, 8],
        decoder_ffn_dim=8,
        decoder_layers=1,
        decoder_attention_heads=2,
        num_queries=5,
        num_denoising=0,
    )
    backbone = VitPoseBackboneConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, mlp_ratio=1, out_indices=[1]
    )
    seeing = VitPoseConfig(backbone_config=backbone, num_labels=17)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return RTDetrForObjectDetection(finding), VitPoseForPoseEstimation(seeing)


def place_random() -> None:
    """Put them into the cache."""
    from controlnet.conditions._networks.load import place
    from controlnet.conditions._networks.vitpose import Keypoints, People, rt_detr, vitpose

    finding, seeing = tiny()
    place(rt_detr, People(finding))
    place(vitpose, Keypoints(seeing))
