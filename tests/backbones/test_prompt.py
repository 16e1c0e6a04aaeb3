"""Weights in brackets and BREAK, as they are written for the web UI."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlnet.backbones._prompt import parse
from controlnet.errors import SettingError

ONE = {
    "a red cube": [("a red cube", 1)],
    "": [],
    "a (red) cube": [("a ", 1), ("red", 1.1), (" cube", 1)],
    "((red))": [("red", 1.21)],
    "(((red)))": [("red", 1.331)],
    "(red:1.3)": [("red", 1.3)],
    "(red: .5 ) cube": [("red", 0.5), (" cube", 1)],
    "(red:-1)": [("red", -1)],
    "(red:+2.)": [("red", 2)],
    "[red]": [("red", 1 / 1.1)],
    "[[red]]": [("red", 1 / 1.21)],
    "[(red)]": [("red", 1)],
    "(a (red:1.5) cube:2)": [("a ", 2), ("red", 3), (" cube", 2)],
    "(a [red] cube)": [("a ", 1.1), ("red", 1), (" cube", 1.1)],
    r"a \(red\) cube": [("a (red) cube", 1)],
    r"(a \(red\):1.2)": [("a (red)", 1.2)],
    r"a \[red\]": [("a [red]", 1)],
    r"(a\\b)": [("a\\b", 1.1)],
    r"(a\b)": [("a\\b", 1.1)],
    r"a\b \\ c": [(r"a\b \\ c", 1)],  # without brackets text is text
    "red) cube]": [("red) cube]", 1)],
    "(red": [("red", 1.1)],
    "[red": [("red", 1 / 1.1)],
    "((a) b": [("a", 1.21), (" b", 1.1)],
    "(a [b) c]": [("a ", 1.1), ("b", 1), (" c", 1 / 1.1)],  # each kind by itself
    "at 12:30": [("at 12:30", 1)],
    "at 12:30)": [("at 12:30)", 1)],
    "(at 12:30:1.2)": [("at 12:30", 1.2)],
    "(a: b)": [("a: b", 1.1)],
    "(a:1.2.3)": [("a:1.2.3", 1.1)],
    "(red:1)": [("red", 1)],
    "()": [],
    "BREAKFAST": [("BREAKFAST", 1)],
    "a break b": [("a break b", 1)],
}


@pytest.mark.parametrize("prompt", ONE)
def test_weights_of_one_section(prompt: str) -> None:
    [section] = parse(prompt)
    assert [text for text, _ in section] == [text for text, _ in ONE[prompt]]
    assert [weight for _, weight in section] == pytest.approx([weight for _, weight in ONE[prompt]])


SEVERAL = {
    "a BREAK b": [["a"], ["b"]],
    "a,\nBREAK\nb": [["a,"], ["b"]],
    "a BREAK": [["a"]],
    "BREAK a": [[], ["a"]],
    "a BREAK BREAK b": [["a"], [], ["b"]],
    "(a BREAK b:1.5) c": [["a"], ["b", " c"]],
    "(a)BREAK(b)": [["a"], ["b"]],
    "BREAK": [[]],
}


@pytest.mark.parametrize("prompt", SEVERAL)
def test_break_begins_a_section(prompt: str) -> None:
    assert [[text for text, _ in section] for section in parse(prompt)] == SEVERAL[prompt]


def test_weights_reach_over_a_break() -> None:
    assert parse("(a BREAK b:1.5) c") == [[("a", 1.5)], [("b", 1.5), (" c", 1)]]


def test_more_brackets_than_a_number_can_hold() -> None:
    with pytest.raises(SettingError, match="finite"):
        parse("(" * 8000 + "a")
    with pytest.raises(SettingError, match="finite"):
        parse(f"(a:{'9' * 400})")


@given(st.text(alphabet="ab ,()[]:.1\\\n", max_size=40))
def test_any_text_can_be_read_and_loses_nothing_but_marks(text: str) -> None:
    [section] = parse(text)
    read = "".join(piece.text for piece in section)
    marks = r"()[]\:.1 "
    assert [c for c in read if c not in marks] == [c for c in text if c not in marks]
    assert all(piece.text for piece in section)
    assert all(a.weight != b.weight for a, b in pairwise(section))


@given(st.text(alphabet="ab ,:.1\\\nBREAK", max_size=40))
def test_text_without_brackets_means_itself(text: str) -> None:
    if "BREAK" not in text:
        assert parse(text) == [[(text, 1)] if text else []]
