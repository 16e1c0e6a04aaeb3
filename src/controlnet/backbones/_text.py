"""Prompts to the tokens that a network attends to, with one text encoder (SD 1.x, 2.x) or two (SDXL).

Legend: B batch, T tokens, D the encoders' widths together, P pooled text width.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)


def encode_prompts(
    prompts: Sequence[str], tokenizers: Sequence[Any], encoders: Sequence[Any], pooled: bool
) -> tuple[Tensor, Tensor | None]:
    """Return tokens (B,T,D) and, for networks that want it, pooled text (B,P).

    SD takes the last hidden state behind the final norm; SDXL the last but one of each encoder, side by side,
    and the projected pooled text of the last encoder. Prompts that are too long are cut, with a warning.
    """
    streams: list[Tensor] = []
    summary: Tensor | None = None
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        ids = tokenize(prompts, tokenizer, encoder.config.max_position_embeddings)
        output = encoder(ids.to(encoder.device), output_hidden_states=pooled)
        streams.append(output.hidden_states[-2] if pooled else output.last_hidden_state)
        summary = output[0] if pooled else None
    return torch.cat(streams, dim=-1), summary


def tokenize(prompts: Sequence[str], tokenizer: Any, longest: int) -> Tensor:
    """Return ids (B,T), padded to the encoder's full length, as all these networks were trained."""
    length = min(tokenizer.model_max_length, longest)
    ids = tokenizer(
        list(prompts), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    for prompt in prompts:
        count = len(tokenizer(prompt).input_ids)
        if count > length:
            logger.warning("prompt cut to its first %d of %d tokens: %r", length, count, prompt)
    return ids.input_ids
