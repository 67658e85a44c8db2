"""Colours and sizes of all pictures."""

from __future__ import annotations

COLORS = ("#0072B2", "#D55E00", "#009E73", "#C2558F", "#2E8FC6", "#A87900", "#777777")
"""Okabe and Ito's palette, told apart by colour-blind readers, with its pale colours darker: each has a contrast of
3:1 or more to white paper and to a dark page."""
GREY = "#7F7F7F"
TEXT_SIZE = 7.0
"""Points, of every label but titles."""


def color(number: int) -> str:
    """Return the colour of a component or a group; they repeat after seven."""
    return COLORS[number % len(COLORS)]
