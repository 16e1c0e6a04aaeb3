"""Conditions drawn at random: ranges, alternatives, what they refuse."""

from collections import Counter

import pytest

from controlnet.conditions._ranges import spread
from controlnet.errors import SettingError, UnknownName


def test_a_range_of_whole_numbers_has_both_its_ends_and_nothing_beyond() -> None:
    drawn = spread("canny(low=10..13, high=200)")
    found = Counter(drawn.draw(0, str(i)).low for i in range(400))
    assert set(found) == {10, 11, 12, 13} and min(found.values()) > 60
    assert {drawn.draw(0, str(i)).high for i in range(5)} == {200}


def test_a_range_of_other_numbers_is_drawn_between_and_can_be_written_down() -> None:
    drawn = spread("inpaint(smallest=0.25..0.5)")
    found = [drawn.draw(0, str(i)).smallest for i in range(100)]
    assert all(0.25 <= value <= 0.5 for value in found) and len(set(found)) > 90
    assert max(len(str(value)) for value in found) <= 8


def test_alternatives_are_drawn() -> None:
    drawn = spread("scribble(strokes='dark'|'light', level=100|120)")
    found = Counter((c.strokes, c.level) for c in (drawn.draw(0, str(i)) for i in range(200)))
    assert len(found) == 4 and min(found.values()) > 20


def test_what_is_drawn_depends_on_seed_and_content_alone() -> None:
    text = "canny(low=1..255, high=255)"
    assert spread(text).draw(3, "a") == spread(text).draw(3, "a")
    assert len({str(spread(text).draw(seed, content)) for seed in (0, 1) for content in "abc"}) == 6


def test_each_setting_has_numbers_of_its_own() -> None:
    alone, both = spread("canny(low=1..255, high=255)"), spread("canny(high=255..255, low=1..255)")
    assert [alone.draw(0, c) for c in "abcd"] == [both.draw(0, c) for c in "abcd"]


def test_settings_that_bind_each_other_are_drawn_until_they_go_together() -> None:
    drawn = spread("canny(low=50..200, high=60..250)")
    found = [drawn.draw(0, str(i)) for i in range(100)]
    assert all(c.low <= c.high for c in found) and any(c.low > 150 for c in found)


def test_a_text_without_ranges_is_the_condition_and_strings_may_hold_dots() -> None:
    assert str(spread("canny(low=50)").draw(0, "a")) == "canny(low=50)"
    assert str(spread("hed_safe").example) == "softedge_hed(safe=True)"
    assert spread("invert (from white bg & black line)").example.name() == "invert"
    with pytest.raises(SettingError, match=r"1\.\.2"):
        spread("scribble(strokes='1..2')")


def test_a_condition_with_a_seed_gets_another_for_each_picture_unless_told() -> None:
    drawn = spread("inpaint(mark='random')")
    assert len({drawn.draw(0, c).seed for c in "abcdef"}) == 6
    assert {spread("inpaint(mark='random', seed=4)").draw(0, c).seed for c in "ab"} == {4}
    assert {spread("inpaint(mark='random', per_picture=True)").draw(0, c).seed for c in "ab"} == {0}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("canny(low=150..50)", "runs backwards"),
        ("canny(low=0..50)", "low=0"),
        ("canny(low=50..300)", "low=300"),
        ("scribble(strokes='dark'|'drak')", "drak"),
        ("canny(low=200..210, high=100..110)", "go together"),
        ("canny(low=50..)", "ranges such as"),
        ("canny(lwo=1..2)", "low"),
        ("canny(low=1.5..2.5)", "low=1.5"),
    ],
)
def test_ranges_that_cannot_be_meant_are_refused_at_once(text: str, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        spread(text)


def test_an_unknown_condition_is_told_with_near_ones() -> None:
    with pytest.raises(UnknownName, match="canny"):
        spread("cany(low=1..2)")
