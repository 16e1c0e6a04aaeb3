"""CLIP's tokenizer with a vocabulary of the world's own words; other words fall apart into letters."""

import json
from pathlib import Path
from typing import Final

from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTokenizer

from controlnet.shapes.palette import COLOURS, FLOORS, SKIES, SOLIDS

START, END = "<|startoftext|>", "<|endoftext|>"
GLUE: Final = (
    "a",
    "an",
    "and",
    "on",
    "under",
    "in",
    "the",
    "of",
    "with",
    "person",
    "shirt",
    "trousers",
    "floor",
    "sky",
    "picture",
)


def write_tokenizer(folder: Path, length: int) -> CLIPTokenizer:
    """Write vocab.json and merges.txt to `folder` and load them as a tokenizer of `length` tokens."""
    folder.mkdir(parents=True, exist_ok=True)
    letters = sorted(ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    tokens = letters + [letter + "</w>" for letter in letters]
    for word in (*SOLIDS, *COLOURS, *FLOORS, *SKIES, *GLUE):
        pieces = [*word[:-1], word[-1] + "</w>"]
        # From the end backwards, so that no merge of one word can break another: each piece ends a word.
        while len(pieces) > 1:
            pair = (pieces[-2], pieces[-1])
            if pair not in merges:
                merges.append(pair)
                tokens.append("".join(pair))
            pieces[-2:] = ["".join(pair)]
    vocabulary = {token: number for number, token in enumerate([*tokens, START, END])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    tokenizer = CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=length
    )
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder, local_files_only=True)
