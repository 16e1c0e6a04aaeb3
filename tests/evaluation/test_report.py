"""Pages: whole, self-contained, and every text escaped."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from controlnet.errors import SettingError
from controlnet.evaluation.report import Page

VOID = {"meta", "img", "!doctype"}


class Checker(HTMLParser):
    """Follows the tags and complains of any that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> Page:
    made = Page("A <title>", "lead & more").heading("<h>").text("a < b").table(["", "x"], [["<row>", "1"]])
    made.picture(Image.new("RGB", (8, 8), "red"), 'a "picture"', "<caption>", least=4)
    return made.drawing("<svg></svg>").commands(["a --b <c>", "second"])


def test_a_page_is_well_formed_and_fetches_nothing() -> None:
    checker = Checker()
    checker.feed(page().html())
    assert not checker.open
    assert [image["alt"] for image in checker.images] == ['a "picture"']
    assert all(str(image["src"]).startswith("data:image/png;base64,") for image in checker.images)
    assert "http" not in page().html()


def test_texts_are_escaped() -> None:
    html = page().html()
    for text in (
        "A &lt;title&gt;",
        "lead &amp; more",
        "&lt;h&gt;",
        "a &lt; b",
        "&lt;row&gt;",
        "&lt;caption&gt;",
    ):
        assert text in html
    assert "a --b &lt;c&gt;\nsecond" in html


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    page().write(tmp_path / "new" / "index.html")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["index.html"]
    with pytest.raises(SettingError):
        page().write(tmp_path / "new" / "index.html" / "below")
