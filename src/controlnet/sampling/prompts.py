"""Prompts and negative prompts to contexts; those that meet in one step get one length."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from controlnet.backbones import Base
from controlnet.core.backbone import Context
from controlnet.sampling.images import Size


def encode_pairs(
    base: Base,
    prompts: Sequence[str],
    negatives: Sequence[str] | None,
    size: Size,
    clip_skip: int | None = None,
) -> tuple[list[Context], list[Context] | None]:
    """Return the context of each prompt and of its negative, both of the length of the longer one.

    size: (width, height) in pixels. Each text is encoded once and by itself, since batches of other sizes
    would round differently; and no prompt takes its length from a neighbour's.
    """
    encoded: dict[str, Context] = {}

    def encode(text: str) -> Context:
        if text not in encoded:
            encoded[text] = base.encode_prompts([text], (size[1], size[0]), clip_skip)
        return encoded[text]

    if negatives is None:
        return [encode(text) for text in prompts], None
    pairs: list[tuple[Context, Context]] = []
    for prompt, negative in zip(prompts, negatives, strict=True):
        both = encode(prompt), encode(negative)
        longest = max(length_of(context) for context in both)
        if any(length_of(context) < longest for context in both):
            both = filled(both[0], encode(""), longest), filled(both[1], encode(""), longest)
        pairs.append(both)
    return [prompt for prompt, _ in pairs], [negative for _, negative in pairs]


def filled(context: Context, empty: Context, length: int) -> Context:
    """Fill a context up to `length` tokens with those of the empty prompt, chunk by chunk."""
    missing = length - length_of(context)
    if missing <= 0:
        return context
    chunks = empty.tokens.repeat(1, missing // length_of(empty), 1)
    return replace(context, tokens=torch.cat([context.tokens, chunks.expand(context.batch, -1, -1)], dim=1))


def length_of(context: Context) -> int:
    """Return how many tokens a network sees of each prompt."""
    return context.tokens.shape[1]


def by_picture(context: Context | Sequence[Context]) -> list[Context]:
    """Return a context for each picture."""
    if isinstance(context, Context):
        return [context[row] for row in range(context.batch)]
    return [own[row] for own in context for row in range(own.batch)]
