"""Words that are added to the language of prompts: each stands for vectors of the text encoders.

Textual inversion (Gal et al. 2022, arXiv 2208.01618) finds such vectors. Here they take the place of a
token's embedding while a prompt that holds the word is encoded; encoder and tokenizer stay as they are.

Legend: N vectors, D an encoder's width, L tokens of a chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from controlnet.backbones._chunks import length_of
from controlnet.backbones._prompt import STOP
from controlnet.errors import SettingError, ShapeError


def checked_word(
    word: str, vectors: Sequence[Tensor], tokenizers: Sequence[Any], encoders: Sequence[Any]
) -> dict[str, tuple[Tensor, ...]]:
    """Return a word with its vectors, one tensor (N,D) an encoder, seen to be of use; see Base.add_word."""
    if not word.strip() or word != word.strip() or STOP.search(word):
        raise SettingError(
            f"got {word!r} as a word for an embedding; wanted one that a prompt can hold, such as <mine>"
        )
    widths = [encoder.get_input_embeddings().weight.shape[1] for encoder in encoders]
    shapes = [tuple(part.shape) for part in vectors]
    room = min(length_of(*pair) for pair in zip(tokenizers, encoders, strict=True)) - 2
    counts = {shape[0] for shape in shapes if shape}
    if [shape[1:] for shape in shapes] != [(width,) for width in widths] or len(counts) != 1:
        raise ShapeError(
            f"got vectors of {' and '.join(map(str, shapes)) or 'nothing'} for {word!r}; this base has "
            f"{len(widths)} text encoders of width {' and '.join(map(str, widths))} and wants as many "
            "vectors for each: take an embedding that was made for such a base"
        )
    if not 1 <= min(counts) <= room:
        raise ShapeError(f"got {min(counts)} vectors for {word!r}; wanted 1 to {room}, what a chunk holds")
    return {word: tuple(part.detach().float() for part in vectors)}


@contextmanager
def placed(encoder: Any, vectors: Mapping[tuple[int, int], Tensor]) -> Iterator[None]:
    """Put vectors in the place of some tokens' embeddings while it lasts; the encoder stays as it is."""
    if not vectors:
        yield
        return

    def put(module: Any, inputs: Any, output: Tensor) -> Tensor:
        changed = output.clone()
        for (row, place), vector in vectors.items():
            changed[row, place] = vector.to(output)
        return changed

    handle = encoder.get_input_embeddings().register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()
