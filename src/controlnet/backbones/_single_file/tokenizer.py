"""CLIP's tokenizer, from the merges that come with the package (Radford et al. 2021, arXiv 2103.00020).

The vocabulary follows from the merges: 256 letters, the same at the end of a word, what the merges make in
their order, and the two tokens that frame a text. Letters are bytes, each shown by a character that prints.
"""

from __future__ import annotations

import gzip
from functools import cache
from typing import Any, Final

from controlnet.backbones._imports import collector_paused
from controlnet.backbones._single_file.family import CONFIGS

_FRAME: Final = ("<|startoftext|>", "<|endoftext|>")
_LENGTH: Final = 77


def tokenizer(pad_token: str) -> Any:
    """Make the tokenizer; pad_token: what fills up short prompts, "<|endoftext|>" or, for OpenCLIP, "!".

    A "!" in a prompt is a token of its own, as in the original code; the tokenizers of the published
    diffusers folders of SD 2.x and SDXL (its second) take it for padding.
    """
    with collector_paused():
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

    vocabulary, merges = _vocabulary()
    pairs: Any = list(merges)  # which it takes, though it speaks of strings alone
    made = CLIPTokenizer(vocab=dict(vocabulary), merges=pairs, model_max_length=_LENGTH)
    made.pad_token = pad_token  # not while it is made, or it would be cut out of every text
    return made


@cache
def _vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    lines = gzip.decompress((CONFIGS / "clip_merges.txt.gz").read_bytes()).decode("utf-8").splitlines()
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    letters = _letters()
    made = ("".join(pair) for pair in merges)
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *made, *_FRAME]
    return {token: number for number, token in enumerate(tokens)}, merges


def _letters() -> list[str]:
    """List the characters that stand for the 256 bytes: those that print, then the others, moved up."""
    spans = (("!", "~"), ("¡", "¬"), ("®", "ÿ"))
    printing = [code for first, last in spans for code in range(ord(first), ord(last) + 1)]
    return [*map(chr, printing), *(chr(256 + k) for k in range(256 - len(printing)))]
