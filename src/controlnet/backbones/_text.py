"""Prompts to the tokens that a network attends to, with one text encoder (SD 1.x, 2.x) or two (SDXL).

Legend: B batch, T tokens, L tokens of a chunk, D the encoders' widths together, P pooled text width.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from controlnet.backbones._chunks import Chunk, Token, chunked, length_of
from controlnet.backbones._words import placed
from controlnet.errors import SettingError

_LEAST: Final = 1e-4  # a mean below this part of the size is rounding, and nothing to go by

_TOLD: Final = 3  # captions that are cut, of each tokenizer

_cut: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # how many, by tokenizer

logger = logging.getLogger(__name__)


def encode_prompts(
    prompts: Sequence[str],
    tokenizers: Sequence[Any],
    encoders: Sequence[Any],
    pooled: bool,
    clip_skip: int | None = None,
    words: Mapping[str, Sequence[Tensor]] | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Return tokens (B,T,D) and, for networks that want it, pooled text (B,P).

    Prompts are read with weights and BREAK (`_prompt`) and in as many chunks as the longest takes; what is
    shorter is filled up with the empty prompt. Each chunk is encoded by itself; the pooled text is that of
    the first. words: for each added word one tensor (N,D) an encoder. See `_hidden` for clip_skip.
    """
    divided: list[list[list[Chunk]]] = []  # by encoder, prompt, place
    for place, (tokenizer, encoder) in enumerate(zip(tokenizers, encoders, strict=True)):
        own = {word: vectors[place] for word, vectors in (words or {}).items()}
        room = length_of(tokenizer, encoder) - 2
        divided.append([chunked(prompt, tokenizer, room, own) for prompt in prompts])
    count = max((len(chunks) for chunks in chain.from_iterable(divided)), default=1)
    streams: list[Tensor] = []
    summary: Tensor | None = None
    for tokenizer, encoder, rows in zip(tokenizers, encoders, divided, strict=True):
        parts: list[Tensor] = []
        for number in range(count):
            chunks = [row[number] if number < len(row) else [] for row in rows]
            tokens, text = _encode_chunks(chunks, tokenizer, encoder, pooled, clip_skip)
            parts.append(tokens)
            summary = text if number == 0 else summary
        streams.append(torch.cat(parts, dim=1))
    return torch.cat(streams, dim=-1), summary


def encode_captions(
    captions: Sequence[str],
    tokenizers: Sequence[Any],
    encoders: Sequence[Any],
    pooled: bool,
    clip_skip: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Do the same for texts that mean exactly themselves, as trainers do: one chunk, cut with a warning."""
    streams: list[Tensor] = []
    summary: Tensor | None = None
    for tokenizer, encoder in zip(tokenizers, encoders, strict=True):
        ids = tokenize(captions, tokenizer, length_of(tokenizer, encoder))
        tokens, summary = _run(ids, encoder, pooled, clip_skip)
        streams.append(tokens)
    return torch.cat(streams, dim=-1), summary


def tokenize(captions: Sequence[str], tokenizer: Any, length: int) -> Tensor:
    """Return ids (B,L), padded to the encoder's full length, as all these networks were trained."""
    ids = tokenizer(
        list(captions), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    )
    for caption in captions:
        count = len(tokenizer(caption, verbose=False).input_ids)
        if count > length:
            _tell_of_cut(tokenizer, length, count, caption)
    return ids.input_ids


def _tell_of_cut(tokenizer: Any, length: int, count: int, caption: str) -> None:
    """Warn of a caption that is cut; of some, since in a data set there may be thousands."""
    number = _cut[tokenizer] = _cut.get(tokenizer, 0) + 1
    if number <= _TOLD:
        logger.warning("caption cut to its first %d of %d tokens: %r", length, count, caption)
    if number == _TOLD:
        logger.warning("more captions may be cut, which is not told; the words at their ends are lost")


def emphasised(tokens: Tensor, weights: Tensor) -> Tensor:
    """Scale the embeddings (B,L,D) of each token by its weight (B,L), then restore the mean of each chunk.

    The web UI's law, there over all prompts of a batch, here for each by itself. A mean that is zero but for
    rounding, as behind a norm that has learnt nothing, is left alone.
    """
    scaled = tokens.float() * weights[..., None]
    before, after = (part.mean(dim=(1, 2), keepdim=True) for part in (tokens.float(), scaled))
    least = _LEAST * tokens.float().square().mean(dim=(1, 2), keepdim=True).sqrt()
    sound = (before.abs() > least) & (after.abs() > least)
    restored = torch.where(sound, scaled * (before / after), scaled)
    # Rows without weights keep every bit.
    plain = (weights == 1).all(dim=1)[:, None, None]
    return torch.where(plain, tokens, restored.to(tokens.dtype))


def _encode_chunks(
    chunks: Sequence[Chunk], tokenizer: Any, encoder: Any, pooled: bool, clip_skip: int | None
) -> tuple[Tensor, Tensor | None]:
    first, last, fill = (
        Token(number) for number in (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    )
    length = length_of(tokenizer, encoder)
    rows = [[first, *chunk, last, *[fill] * (length - len(chunk) - 2)] for chunk in chunks]
    ids = torch.tensor([[token.id for token in row] for row in rows])
    weights = torch.tensor([[token.weight for token in row] for row in rows])
    added = {
        (number, place): token.vector
        for number, row in enumerate(rows)
        for place, token in enumerate(row)
        if token.vector is not None
    }
    with placed(encoder, added):
        tokens, summary = _run(ids, encoder, pooled, clip_skip)
    return emphasised(tokens, weights.to(tokens.device)) if bool((weights != 1).any()) else tokens, summary


def _run(ids: Tensor, encoder: Any, pooled: bool, clip_skip: int | None) -> tuple[Tensor, Tensor | None]:
    deep = clip_skip not in (None, 1)
    output = encoder(ids.to(encoder.device), output_hidden_states=pooled or deep)
    return _hidden(encoder, output, pooled, clip_skip), output[0] if pooled else None


def _hidden(encoder: Any, output: Any, pooled: bool, clip_skip: int | None) -> Tensor:
    """Choose the layer, counted from the end, 1 being the last.

    SD takes the last behind the final norm, and by clip_skip an earlier one behind the same norm; SDXL takes
    the last but one of each encoder, and any other likewise without the norm.
    """
    layers = encoder.config.num_hidden_layers
    if clip_skip is not None and not 1 <= clip_skip <= layers:
        raise SettingError(
            f"got clip_skip {clip_skip}; wanted 1 (the last layer) to {layers}, or None for the base's own"
        )
    if pooled:
        return output.hidden_states[-(clip_skip or 2)]
    if clip_skip in (None, 1):
        return output.last_hidden_state
    return getattr(encoder, "text_model", encoder).final_layer_norm(output.hidden_states[-clip_skip])
