"""Fonts for the scripts that the texts of a picture are written in, among those that are installed."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import FigureBase
    from matplotlib.text import Text

_BOXES = "Last Resort"
"""A font that has a box for every character, which comes with matplotlib."""
_LEAST_FOREIGN = 0x250
"""Characters before this one, Latin ones, are in every font."""


def show_scripts(drawn: FigureBase | Axes) -> None:
    """Give the texts of a figure or of its axes fonts that have their characters, where the default font has not.

    Settings of matplotlib stay as they are.
    """
    axes, texts = _parts(drawn)
    words = [text.get_text() for text in texts]
    for ax in axes:
        for axis in (ax.xaxis, ax.yaxis):
            words += getattr(axis.get_major_formatter(), "seq", [])  # names of positions
    foreign = frozenset(c for word in words for c in word if ord(c) >= _LEAST_FOREIGN and not c.isspace())
    if not foreign or len(families := families_for(foreign)) == 1:
        return
    for text in texts:
        text.set_fontfamily(families)
    for ax in axes:
        ax.tick_params(labelfontfamily=families)


def _parts(drawn: Any) -> tuple[list[Axes], list[Text]]:
    """Return the axes of a figure, or the given ones, and all texts but those of ticks."""
    from matplotlib.axes import Axes

    axes: list[Axes] = [drawn] if isinstance(drawn, Axes) else list(drawn.axes)
    legends = [ax.get_legend() for ax in axes] + ([] if isinstance(drawn, Axes) else drawn.legends)
    texts = [text for ax in axes for text in (ax.title, ax.xaxis.label, ax.yaxis.label, *ax.texts)]
    for legend in legends:
        texts += [] if legend is None else [legend.get_title(), *legend.get_texts()]
    return axes, texts


def families_for(characters: frozenset[str]) -> list[str]:
    """Return the default family, and others that are installed and have what it lacks of these characters."""
    from matplotlib import font_manager, rcParams

    family = rcParams["font.family"]
    default = [family] if isinstance(family, str) else list(family)
    path = font_manager.findfont(font_manager.FontProperties(family=default))
    return [*default, *_others(frozenset(_missing(path, characters)))]


def _missing(path: str, characters: frozenset[str]) -> set[str]:
    """Return those of the characters that a font file lacks."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(path)
    except (OSError, RuntimeError):  # a file that is gone, or no font
        return set(characters)
    return {c for c in characters if font.get_char_index(ord(c)) == 0}


@cache
def _others(characters: frozenset[str]) -> tuple[str, ...]:
    """Return families that have these characters, the one that has most of them first."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    if not characters:
        return ()
    known = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():  # matplotlib remembers what was installed when it was first used
        if path not in known:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):
                continue
    entries = [
        entry
        for entry in fontManager.ttflist
        if entry.style == "normal" and str(entry.weight) in ("400", "normal") and _BOXES not in entry.name
    ]
    entries.sort(key=lambda entry: ("Mono" in entry.name, "Serif" in entry.name, entry.name))
    lacks = {entry.name: _missing(entry.fname, characters) for entry in reversed(entries)}
    found, left = [], set(characters)
    while left and lacks:
        name = min(reversed(lacks), key=lambda name: len(left & lacks[name]))
        if len(left & lacks[name]) == len(left):
            break
        left &= lacks.pop(name)
        found.append(name)
    return tuple(found)
