"""The world's tokenizer: one token a word, nothing lost."""

import pytest
from transformers import CLIPTokenizer

from controlnet.shapes.captions import full_caption
from controlnet.shapes.palette import COLOURS, FLOORS, SKIES, SOLIDS
from controlnet.shapes.recipe.tokenizer import GLUE, write_tokenizer
from controlnet.shapes.scene import draw_scene

WORDS = (*SOLIDS, *COLOURS, *FLOORS, *SKIES, *GLUE)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), 32)


def ids(tokenizer: CLIPTokenizer, text: str) -> list[int]:
    """Tokenize without start and end."""
    return list(tokenizer(text)["input_ids"])[1:-1]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_is_one_token_and_comes_back(tokenizer: CLIPTokenizer, word: str) -> None:
    found = ids(tokenizer, word)
    assert len(found) == 1 and tokenizer.decode(found).strip() == word


def test_words_differ(tokenizer: CLIPTokenizer) -> None:
    assert len({ids(tokenizer, word)[0] for word in WORDS}) == len(set(WORDS)) == len(WORDS)


def test_captions_are_as_long_as_their_words(tokenizer: CLIPTokenizer) -> None:
    for index in range(40):
        text = full_caption(draw_scene(2, index))
        found = ids(tokenizer, text)
        assert len(found) == len(text.replace(",", " ,").split()) <= 30  # 32 with start and end
        assert tokenizer.decode(found).replace(" ,", ",").strip() == text


def test_unknown_words_fall_apart_and_come_back(tokenizer: CLIPTokenizer) -> None:
    found = ids(tokenizer, "zebra")
    assert len(found) > 1 and tokenizer.decode(found).strip() == "zebra"
    assert tokenizer.unk_token_id not in found or tokenizer.unk_token_id == tokenizer.eos_token_id


def test_padding_and_cutting(tokenizer: CLIPTokenizer) -> None:
    out = tokenizer(["a cube", "a " * 90], padding="max_length", truncation=True, max_length=32)["input_ids"]
    assert [len(row) for row in out] == [32, 32]
    assert out[0][4:] == [tokenizer.eos_token_id] * 28 and out[1][-1] == tokenizer.eos_token_id
