"""Prompts of any length to chunks of tokens that a text encoder can read, as the web UI divides them.

A text encoder reads 77 tokens, the first and the last of which frame the text; a longer prompt is divided
into chunks of 75. Where a chunk would end in the middle of a phrase, the phrase moves to the next one, if a
comma stands among the chunk's last 20 tokens. Encoders of other lengths have chunks in the same proportion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from torch import Tensor

from controlnet.backbones._prompt import Section, parse

_TAIL: Final = 20 / 75  # of a chunk may move to the next one


class Token(NamedTuple):
    """One token: its id, its weight, and a vector that takes the place of its embedding (an added word's)."""

    id: int
    weight: float = 1.0
    vector: Tensor | None = None


Chunk = list[Token]


def chunked(prompt: str, tokenizer: Any, room: int, words: Mapping[str, Tensor]) -> list[Chunk]:
    """Return the chunks of a prompt, at least one, each of at most `room` tokens without the frame.

    words: vectors (N,D) of added words; the tokens of one word stay together.
    """
    comma = _ids(",", tokenizer)
    return [chunk for section in parse(prompt) for chunk in _divided(section, tokenizer, room, words, comma)]


def length_of(tokenizer: Any, encoder: Any) -> int:
    """Return L, first and last token included: 77 for Stable Diffusion."""
    return min(tokenizer.model_max_length, encoder.config.max_position_embeddings)


def _divided(
    section: Section, tokenizer: Any, room: int, words: Mapping[str, Tensor], comma: Sequence[int]
) -> Iterator[Chunk]:
    chunk: Chunk = []
    phrase = 0  # where the text after the last comma begins
    for unit in _units(section, tokenizer, words):
        is_comma = [token.id for token in unit] == comma
        if len(chunk) + len(unit) > room:
            moves = not is_comma and unit[0].vector is None and phrase > 0
            cut = phrase if moves and len(chunk) - phrase < round(_TAIL * room) else len(chunk)
            yield chunk[:cut]
            chunk, phrase = chunk[cut:], 0
        chunk += unit
        if is_comma:
            phrase = len(chunk)
    yield chunk


def _units(section: Section, tokenizer: Any, words: Mapping[str, Tensor]) -> Iterator[Chunk]:
    """Yield what is not to be divided: single tokens, and all tokens of an added word."""
    names = sorted(words, key=len, reverse=True)
    listed = "|".join(re.escape(name) for name in names)
    pattern = re.compile(rf"(?<!\w)({listed})(?!\w)", re.IGNORECASE) if names else None
    for text, weight in section:
        for place, part in enumerate(pattern.split(text) if pattern else [text]):
            if place % 2:
                name = next(name for name in names if name.lower() == part.lower())
                # The frame's own first token holds the place: an id that no encoder takes for the end.
                yield [Token(tokenizer.bos_token_id, weight, vector) for vector in words[name]]
            else:
                yield from ([Token(number, weight)] for number in _ids(part, tokenizer))


def _ids(text: str, tokenizer: Any) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False).input_ids if text else []
