"""Pieces of an HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
:root { --ink: #1d232a; --soft: #5b6670; --line: #d8dde2; --paper: #fff; --band: #f5f7f9; --accent: #0072b2; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 66rem; color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; padding-bottom: .3rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.6rem 0 .3rem; }
p { margin: .4rem 0 .8rem; max-width: 46rem; }
.lead { font-size: 1.08rem; }
.note { color: var(--soft); font-size: .93rem; }
.warning { border-left: 4px solid #d55e00; padding: .3rem .8rem; background: #fdf3ec; max-width: 46rem; }
nav { font-size: .93rem; margin: .8rem 0 0; }
nav a { color: var(--accent); margin-right: 1.1rem; text-decoration: none; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; margin: .4rem 0 1rem; }
th, td { padding: .28rem .8rem .28rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); }
td.number, th.number { text-align: right; padding-right: 1.2rem; white-space: nowrap; }
tbody th { color: var(--ink); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(19rem, 1fr)); gap: 1.2rem 2rem; }
figure { margin: 0; break-inside: avoid; }
figcaption { color: var(--soft); font-size: .9rem; max-width: 40rem; }
img { max-width: 100%; height: auto; display: block; }
pre { background: var(--band); border: 1px solid var(--line); border-radius: 4px; padding: .8rem 1rem;
  overflow-x: auto;  font-size: .85rem; line-height: 1.45; white-space: pre-wrap; }
@media print {
  @page { margin: 16mm 14mm; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  tr, figure, pre { break-inside: avoid; }
  .grid { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  .warning, pre { background: none; }
}
"""


class Section(NamedTuple):
    """A part of the page with a heading.

    Attributes
    ----------
    name : str
        For links.
    title : str
    body : str
        HTML.
    """

    name: str
    title: str
    body: str


def page(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Return the whole page; `lead` is HTML."""
    links = "".join(f'<a href="#{section.name}">{escape(section.title)}</a>' for section in sections)
    parts = "\n".join(
        f'<section id="{section.name}">\n<h2>{escape(section.title)}</h2>\n{section.body}\n</section>'
        for section in sections
    )
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n"
        f"<h1>{escape(title)}</h1>\n{lead}\n<nav>{links}</nav>\n</header>\n<main>\n{parts}\n</main>\n</body>\n</html>\n"
    )


def paragraph(text: str, kind: str = "") -> str:
    """Return plain text as a paragraph."""
    attribute = f' class="{kind}"' if kind else ""
    return f"<p{attribute}>{escape(text)}</p>"


def pairs(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and what they are."""
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>' for name, text in rows
    )
    return f'<div class="scroll"><table><tbody>{body}</tbody></table></div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """Return rows of plain text; the columns `numbers` are flush right."""

    def cell(tag: str, column: int, text: str) -> str:
        kind = ' class="number"' if column in numbers else ""
        return f"<{tag}{kind}>{escape(text)}</{tag}>"

    head = "".join(cell("th", n, text) for n, text in enumerate(header))
    body = "".join(
        "<tr>" + "".join(cell("td", n, text) for n, text in enumerate(row)) + "</tr>\n" for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(figure: Figure, words: str, caption: str = "") -> str:
    """Return a figure within the page; `words` are for those who cannot see it."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=170, bbox_inches="tight", pad_inches=0.04)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    width = round(figure.get_figwidth() * 96)
    image = f'<img alt="{escape(words)}" width="{width}" src="data:image/png;base64,{data}">'
    note = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{image}{note}</figure>"


def grid(items: Iterable[str]) -> str:
    """Return pictures side by side, as many as there is room for."""
    return f'<div class="grid">{"".join(items)}</div>'


def code(text: str) -> str:
    """Return text verbatim."""
    return f"<pre>{escape(text)}</pre>"
