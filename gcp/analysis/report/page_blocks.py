"""What stands on a page: data for its template, which decides what they look like."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from gcp.analysis.plots.frame import SMALL, file_figure, words_of
from gcp.base.errors import GcpError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 170
_CSS_DPI = 96
"""Pixels of a page in an inch."""


@dataclass(frozen=True)
class PageBlock:
    """A part of a section; `kind` is the name of the template's macro that shows it."""

    kind: ClassVar[str]


@dataclass(frozen=True)
class Paragraph(PageBlock):
    """Words; `style` is "", "note" or "warning"."""

    kind = "paragraph"
    text: str
    style: str = ""


@dataclass(frozen=True)
class Heading(PageBlock):
    """A heading within a section."""

    kind = "heading"
    text: str


@dataclass(frozen=True)
class FactList(PageBlock):
    """Names and what they are."""

    kind = "facts"
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class PageTable(PageBlock):
    """Rows of plain text under a header; the first column says what a row is, the columns `numbers` are numbers."""

    kind = "table"
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[int] = ()


@dataclass(frozen=True)
class Verbatim(PageBlock):
    """Text verbatim."""

    kind = "verbatim"
    text: str


class Image(NamedTuple):
    """A file, and its size.

    Attributes
    ----------
    data : str
        PNG as base64.
    width, height : int
        Pixels of the page.
    """

    data: str
    width: int
    height: int

    @classmethod
    def of(cls, figure: Figure) -> Image:
        """Return a figure as a file."""
        width, height = (round(_CSS_DPI * inches) for inches in figure.get_size_inches())
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_DPI)
        return cls(base64.b64encode(file.getvalue()).decode("ascii"), width, height)


@dataclass(frozen=True)
class Picture(PageBlock):
    """A picture, and another of the same for a narrow screen, if there is one.

    Attributes
    ----------
    image : Image
    words : str
        What it shows, with its numbers, for those who cannot see it.
    caption : str
    narrow : Image or None
    """

    kind = "picture"
    image: Image
    words: str
    caption: str = ""
    narrow: Image | None = None


@dataclass(frozen=True)
class Gallery(PageBlock):
    """Pictures, or words in their place, side by side, as many as there is room for."""

    kind = "gallery"
    items: Sequence[PageBlock]


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading.

    Attributes
    ----------
    name : str
        For links.
    title : str
    blocks : list of PageBlock
    """

    name: str
    title: str
    blocks: Sequence[PageBlock]


def picture(figure: Figure, caption: str = "", narrow: Figure | None = None, words: str = "") -> Picture:
    """Return a figure as a picture of a page; without `words` it is in those of its axes."""
    small = None if narrow is None else Image.of(narrow)
    return Picture(Image.of(figure), words or words_of(figure), caption, small)


def drawn(
    draw: Callable[[Axes], object],
    what: str,
    caption: str,
    size: tuple[float, float] = SMALL,
    narrow: tuple[float, float] | None = None,
) -> PageBlock:
    """Return a picture of one panel, of a size in inches; why there is none, if it cannot be drawn."""
    figures = [file_figure(inches) for inches in (size, narrow) if inches is not None]
    try:
        for figure in figures:
            draw(figure.subplots())
    except GcpError as error:
        return Paragraph(f"{what}: left out. {error}", "note")
    return picture(figures[0], caption, figures[1] if narrow else None)


def joined(*blocks: PageBlock | Iterable[PageBlock]) -> list[PageBlock]:
    """Return blocks, and those of lists of them, one after the other."""
    found: list[PageBlock] = []
    for block in blocks:
        found += [block] if isinstance(block, PageBlock) else list(block)
    return found
