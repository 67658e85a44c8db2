"""The layout of a mode along the horizontal axis: as ordered positions or as named categories."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gcp.base.labels import ModeLabels
from gcp.base.types import Array

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#555555")
"""Okabe and Ito's palette, told apart by colour-blind readers; its yellow is too pale for lines."""
MANY = 40
"""Categories beyond this number are named only where they stand out."""
TEXT_SIZE = 7.0
"""Points, of every label but titles."""
_LONGEST = 24
_ISO_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?)?")


@dataclass(frozen=True)
class ModeAxis:
    """A column of the picture.

    Attributes
    ----------
    name : str
        Of the mode.
    positions : ndarray, shape (I_n,)
        Where each entry stands: numbers, dates, or 0, 1, ... for categories.
    names : list of str or None
        The categories; None for ordered modes, which are drawn as lines.
    """

    name: str
    positions: Array
    names: list[str] | None

    @classmethod
    def of(cls, labels: ModeLabels, mode: int, size: int) -> ModeAxis:
        """Return the axis that suits a mode's coordinates."""
        coord = _dates(labels.values(mode, size))
        if _is_ordered(coord):
            return cls(plain(labels.names[mode]), coord, None)
        return cls(plain(labels.names[mode]), np.arange(size), [plain(_shortened(str(c))) for c in coord])

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.positions)

    @property
    def is_crowded(self) -> bool:
        """True if there are too many categories to name them all."""
        return self.names is not None and self.size > MANY

    @property
    def width(self) -> float:
        """Inches that the column asks for."""
        if self.names is None:
            return 2.6 if self.size > 60 else 2.2
        if self.is_crowded:
            return 4.2
        return float(np.clip(0.16 * self.size, 1.5, 6.0)) if self.is_upright else max(self._level_width, 1.5)

    @property
    def _level_width(self) -> float:
        """Inches that the names of the categories need side by side."""
        return (max(map(text_width, self.names or [""])) + 0.1) * self.size

    @property
    def is_upright(self) -> bool:
        """True if the names of the categories have to be turned to fit."""
        return self.names is not None and not self.is_crowded and self._level_width > 3.2

    @property
    def label_height(self) -> float:
        """Inches that the tick labels need below the lowest row."""
        return max(map(text_width, self.names or [""])) if self.is_upright else 0.2


def text_width(text: str) -> float:
    """Return the inches that a label takes, on the generous side."""
    ems = sum(
        1.0 if c in "mwMW@%" or ord(c) > 0x2E80 else 0.35 if c in " ijlt.,:;'|I-()" else 0.68 for c in text
    )
    return ems * TEXT_SIZE / 72


def plain(text: str) -> str:
    """Return text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"


def _dates(coord: Array) -> Array:
    """Return coordinates (I_n,), ISO dates written as text as dates."""
    if coord.dtype.kind == "U" and all(_ISO_DATE.fullmatch(text) for text in coord.tolist()):
        try:
            return coord.astype("datetime64")
        except ValueError:  # the thirteenth month
            return coord
    return coord


def _is_ordered(coord: Array) -> bool:
    """True for rising or falling numbers and dates (I_n,); whole numbers with irregular gaps are identifiers."""
    if coord.dtype.kind not in "iufM" or (coord.dtype.kind in "fM" and not np.isfinite(coord).all()):
        return False
    steps = np.diff(coord if coord.dtype.kind in "fM" else coord.astype(float))
    zero = np.zeros((), steps.dtype)
    if not ((steps > zero).all() or (steps < zero).all()):
        return False
    if coord.dtype.kind in "fM" or len(steps) == 0:
        return True
    return bool(np.unique(steps, return_counts=True)[1].max() > 0.75 * len(steps))
