"""A small random OneFormer in a folder."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from controlnet.conditions._networks.load import place
from controlnet.conditions._networks.oneformer import one_former
from tests.helpers import _write_tokenizer


def tiny_oneformer(folder: Path, classes: int) -> Path:
    """Write a small random OneFormer with its tokenizer, as transformers keeps one."""
    from transformers import OneFormerConfig, OneFormerForUniversalSegmentation, SwinConfig

    words = _write_tokenizer(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = OneFormerForUniversalSegmentation(
            OneFormerConfig(
                backbone_config=SwinConfig(
                    embed_dim=8,
                    depths=[1, 1, 1, 1],
                    num_heads=[1, 1, 2, 2],
                    window_size=4,
                    image_size=64,
                    out_features=["stage1", "stage2", "stage3", "stage4"],
                ),
                num_labels=classes,
                num_queries=7,
                task_seq_len=20,
                text_encoder_vocab_size=words,
                text_encoder_context_length=20,
                text_encoder_width=32,
                text_encoder_num_layers=1,
                text_encoder_n_ctx=2,
                conv_dim=32,
                mask_dim=32,
                hidden_dim=32,
                encoder_feedforward_dim=32,
                dim_feedforward=16,
                encoder_layers=1,
                decoder_layers=2,
                num_attention_heads=2,
            )
        )
        decoder = model.model.transformer_module.decoder
        torch.nn.init.normal_(decoder.class_embed.weight)  # else all queries say the same, everywhere
        for weight in [p for p in decoder.mask_embed.parameters() if p.ndim > 1]:
            torch.nn.init.normal_(weight)
    model.save_pretrained(folder)
    return folder


def place_tiny(classes: int) -> None:
    """Let the conditions find a small random network that knows so many classes."""
    with TemporaryDirectory() as folder:
        place(one_former, one_former(tiny_oneformer(Path(folder), classes)))
