"""Pages that show what was measured: one self-contained HTML file, for any screen, light or dark."""

import base64
import io
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Self, final

from PIL.Image import Image

from controlnet.files import whole

# Names of the colours, which a drawing's SVG may use as well: var(--ink) …
_STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1c1e21; --muted: #62676e; --rule: #dcdcd6;
  --panel: #f1f1ec; --one: #0b62c4; --two: #c2410c; --three: #15803d; --four: #be185d;
  --mark: #9333ea; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --ink: #e6e6e3; --muted: #9aa0a8;
  --rule: #33373d; --panel: #1f2226; --one: #6cb0ff; --two: #ff9a5c; --three: #6ccf8b; --four: #f78fb3;
  --mark: #c89bff; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; }
.lead { color: var(--muted); font-size: 1.075rem; }
.wide { overflow-x: auto; }
figure { margin: 1rem 0; }
figure img, figure svg { display: block; width: 100%; height: auto; }
figure img { image-rendering: auto; border-radius: 4px; }
figcaption { color: var(--muted); font-size: .9rem; max-width: 44rem; margin-top: .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .75rem 0; }
th, td { padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: var(--muted); font-weight: 500; font-size: .9rem; }
.beside { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr));
  gap: 0 2rem; }
.gallery td, .gallery th { padding: .2rem .35rem .2rem 0; border: 0; text-align: left; vertical-align: top;
  font-size: .85rem; }
.gallery th { white-space: normal; max-width: 9rem; vertical-align: bottom; }
.gallery td.said { color: var(--muted); padding-top: .6rem; white-space: normal; }
.gallery img { width: auto; max-width: none; border-radius: 3px; }
.gallery small { display: block; color: var(--muted); white-space: normal; line-height: 1.35; }
pre { background: var(--panel); padding: .8rem 1rem; border-radius: 6px; overflow-x: auto; margin: .75rem 0;
  font: .875rem/1.6 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
"""


@final
class Page:
    """A page under construction; every text is escaped, every picture is embedded, nothing is fetched."""

    def __init__(self, title: str, lead: str, refresh: int | None = None) -> None:
        """Begin a page; refresh: seconds after which the browser loads it anew, for one that is kept up."""
        self._title, self._refresh = title, refresh
        self._parts = [f"<h1>{escape(title)}</h1>", f'<p class="lead">{escape(lead)}</p>']

    def heading(self, text: str) -> Self:
        """Begin a section."""
        return self._add(f"<h2>{escape(text)}</h2>")

    def text(self, text: str) -> Self:
        """Add a paragraph."""
        return self._add(f"<p>{escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Self:
        """Add a table; its first column names the rows, the others hold numbers."""
        top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
        return self._add(
            f'<div class="wide"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def picture(self, image: Image, alt: str, caption: str = "", least: int = 0) -> Self:
        """Embed a picture, never shown wider than it is nor narrower than `least` pixels; then it scrolls."""
        size = f'width="{image.width}" height="{image.height}"'
        style = f"max-width: {image.width}px; min-width: {least}px"
        return self._figure(
            f'<img src="{_embedded(image)}" alt="{escape(alt)}" {size} style="{style}">', caption
        )

    def gallery(
        self,
        heads: Sequence[str],
        rows: Sequence[tuple[str, Sequence[tuple[Image, str]]]],
        caption: str = "",
    ) -> Self:
        """Add pictures in labelled columns: each row has a text above it, each picture a note below."""
        top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in heads)
        body = ""
        for text, cells in rows:
            body += f'<tr><td class="said" colspan="{len(heads)}">{escape(text)}</td></tr><tr>'
            for head, (image, note) in zip(heads, cells, strict=True):
                size = f'width="{image.width}" height="{image.height}"'
                shown = f'<img src="{_embedded(image)}" alt="{escape(head)}: {escape(text)}" {size}>'
                body += f'<td>{shown}<small style="max-width: {image.width}px">{escape(note)}</small></td>'
            body += "</tr>"
        table = f'<table class="gallery"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
        told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        return self._add(f'<figure><div class="wide">{table}</div>{told}</figure>')

    def drawing(self, svg: str, caption: str = "", least: int = 0) -> Self:
        """Embed an SVG element of our own making, which may use the page's colours."""
        return self._figure(f'<div style="min-width: {least}px">{svg}</div>', caption)

    def drawings(self, several: Sequence[tuple[str, str]], least: int = 0) -> Self:
        """Embed SVG elements of our own making with their captions, side by side where there is room."""
        inner = "".join(
            f'<figure><div class="wide"><div style="min-width: {least}px">{svg}</div></div>'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
            for svg, caption in several
        )
        return self._add(f'<div class="beside">{inner}</div>')

    def commands(self, lines: Sequence[str]) -> Self:
        """Add lines to copy."""
        return self._add(f"<pre>{escape(chr(10).join(lines))}</pre>")

    def block(self, html: str) -> Self:
        """Add a part of our own making, whose texts are escaped already; it may use the page's colours."""
        return self._add(html)

    def html(self) -> str:
        """Return the page."""
        again = "" if self._refresh is None else f'<meta http-equiv="refresh" content="{self._refresh}">'
        head = (
            '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"{again}<title>{escape(self._title)}</title><style>{_STYLE}</style>"
        )
        body = "\n".join(self._parts)
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'

    def write(self, path: str | Path) -> None:
        """Write the page, whole or not at all; SettingError where the folder cannot be written to."""
        with whole(path) as part:
            part.write_text(self.html(), encoding="utf-8")

    def _figure(self, inner: str, caption: str) -> Self:
        told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
        return self._add(f'<figure><div class="wide">{inner}</div>{told}</figure>')

    def _add(self, part: str) -> Self:
        self._parts.append(part)
        return self


def _embedded(image: Image) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
