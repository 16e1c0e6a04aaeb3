"""A BLIP of a few thousand random weights, as `save_pretrained` writes it."""

from pathlib import Path

import torch


def tiny_blip(folder: Path) -> Path:
    """Write the model and a tokenizer of some words; return the folder."""
    from transformers import BertTokenizer
    from transformers.models.blip.configuration_blip import BlipConfig
    from transformers.models.blip.modeling_blip import BlipForConditionalGeneration

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "[ENC]"]
    words += ["a", "photo", "red", "green", "blue", "cube", "ball", "of", "on", "the", "sky", "floor", "dog"]
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(words)})
    tokenizer.add_special_tokens({"bos_token": "[DEC]"})
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {
        **size,
        "vocab_size": len(words),
        "encoder_hidden_size": 16,
        "max_position_embeddings": 64,
        "bos_token_id": words.index("[DEC]"),
        "eos_token_id": words.index("[SEP]"),
        "sep_token_id": words.index("[SEP]"),
        "pad_token_id": words.index("[PAD]"),
    }
    config = BlipConfig(text_config=text, vision_config={**size, "image_size": 32, "patch_size": 16})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        BlipForConditionalGeneration(config).save_pretrained(folder)
    return folder
