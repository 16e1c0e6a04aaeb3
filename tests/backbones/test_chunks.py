"""How long prompts are divided, with a tokenizer for which every word is a token."""

from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from controlnet.backbones._chunks import chunked

WORDS = [","] + [f"w{number}" for number in range(400)]


class Tokenizer:
    bos_token_id, eos_token_id = 1000, 1001

    def __call__(self, text: str, **settings: object) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[WORDS.index(word) for word in text.split()])


def words(low: int, high: int) -> str:
    return " ".join(f"w{number}" for number in range(low, high))


def divided(prompt: str, room: int = 75, **added: torch.Tensor) -> list[list[str]]:
    """Chunks as words; a vector of an added word shows as "*"."""
    chunks = chunked(prompt, Tokenizer(), room, {f"<{name}>": v for name, v in added.items()})
    return [["*" if t.vector is not None else WORDS[t.id] for t in chunk] for chunk in chunks]


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, [0]), (1, [1]), (75, [75]), (76, [75, 1]), (151, [75, 75, 1])]
)
def test_lengths_without_commas(count: int, sizes: list[int]) -> None:
    chunks = divided(words(0, count))
    assert list(chain(*chunks)) == words(0, count).split()
    assert [len(chunk) for chunk in chunks] == sizes


@pytest.mark.parametrize(
    ("comma", "first"),
    [(74, 75), (73, 74), (60, 61), (55, 56), (54, 75), (10, 75)],
    ids=["last", "last but one", "near", "20 before the end", "too far", "far"],
)
def test_a_phrase_that_would_be_divided_moves_on(comma: int, first: int) -> None:
    chunks = divided(f"{words(0, comma)} , {words(100, 190)}")
    assert len(chunks[0]) == first
    assert list(chain(*chunks)) == f"{words(0, comma)} , {words(100, 190)}".split()


def test_a_comma_that_finds_no_room_goes_alone() -> None:
    assert [len(chunk) for chunk in divided(f"{words(0, 60)} , {words(60, 74)} , {words(74, 76)}")] == [75, 3]


def test_shorter_encoders_have_the_same_proportions() -> None:
    assert [len(chunk) for chunk in divided(f"{words(0, 22)} , {words(22, 35)}", room=30)] == [23, 13]
    assert [len(chunk) for chunk in divided(f"{words(0, 21)} , {words(21, 35)}", room=30)] == [30, 6]


def test_break_ends_a_chunk() -> None:
    assert divided("w1 w2 BREAK w3") == [["w1", "w2"], ["w3"]]
    assert divided("BREAK w3") == [[], ["w3"]]
    assert [len(chunk) for chunk in divided(f"{words(0, 80)} BREAK w3")] == [75, 5, 1]


def test_an_added_word_stays_whole_and_takes_its_weight() -> None:
    three = torch.eye(3)
    assert divided("w1 <mine> w2", mine=three) == [["w1", "*", "*", "*", "w2"]]
    assert [len(chunk) for chunk in divided(f"{words(0, 73)} <mine> w80", mine=three)] == [73, 4]
    [chunk] = chunked("(w1 <MINE>:1.5) , w2", Tokenizer(), 75, {"<mine>": three})
    assert [token.weight for token in chunk] == [1.5] * 4 + [1, 1]
    assert torch.equal(torch.stack([token.vector for token in chunk[1:4]]), three)


def test_the_longest_added_word_wins_and_parts_of_words_do_not_count() -> None:
    chunks = chunked("ab abc w1", AnyWord(), 75, {"ab": torch.zeros(1, 2), "abc": torch.zeros(2, 2)})
    assert [token.vector is not None for token in chunks[0]] == [True, True, True, False]
    assert all(t.vector is None for t in chunked("xab abx", AnyWord(), 75, {"ab": torch.zeros(1, 2)})[0])


class AnyWord(Tokenizer):
    def __call__(self, text: str, **settings: object) -> SimpleNamespace:
        return SimpleNamespace(input_ids=[7 for _ in text.split()])
