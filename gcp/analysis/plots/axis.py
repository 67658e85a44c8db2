"""The layout of a mode along the horizontal axis: as ordered positions, numbered ones, or named categories."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.plots.palette import TEXT_SIZE
from gcp.base.label_text import label_texts, shortened
from gcp.base.labels import ModeLabels
from gcp.base.types import Array, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

KINDS = ("bar", "dot", "line")
MANY = 40
"""Categories beyond this number are named only where they stand out."""
WIDEST = 6.0
_NAME = 0.13
"""Inches that an upright name takes."""
_ISO_DATE = re.compile(r"\d{4}-\d{2}(-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d+)?)?)?)?)?")


@dataclass(frozen=True)
class ModeAxis:
    """A mode as a column of the picture.

    Attributes
    ----------
    name : str
        Of the mode.
    positions : ndarray, shape (I_n,)
        Where each entry stands: numbers, dates, or 0, 1, ... for categories.
    names : list of str or None
        The categories; None for numbers and dates.
    kind : str
        How entries are drawn: "line" if the coordinates are in order, else "bar"; or "dot", if somebody asks for it.
    widest : float
        Inches that there are, at most.
    """

    name: str
    positions: Array
    names: list[str] | None
    kind: str
    widest: float = WIDEST

    @classmethod
    def of(
        cls, labels: ModeLabels, mode: int, size: int, kind: str | None = None, widest: float = WIDEST
    ) -> ModeAxis:
        """Return the axis that suits a mode's coordinates.

        Positions without coordinates are no line: nobody has said that they are in order.
        """
        name, given = plain(labels.title(mode)), labels.coords[mode]
        if given is None:
            return cls(name, np.arange(size), None, kind or "bar", widest)
        coord = _dates(given)
        if _is_ordered(coord):
            return cls(name, coord, None, kind or "line", widest)
        names = [plain(text) for text in shortened(label_texts(coord))]
        return cls(name, np.arange(size), names, kind or "bar", widest)

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.positions)

    @property
    def is_crowded(self) -> bool:
        """True if there are too many categories to name them all."""
        return self.names is not None and (self.size > MANY or _NAME * self.size > self.widest)

    @property
    def width(self) -> float:
        """Inches that the column asks for."""
        if self.names is None:
            wanted = 2.6 if self.size > 60 else 2.2
        elif self.is_crowded:
            wanted = 4.2
        else:
            wanted = 0.16 * self.size if self.is_upright else self._level_width
        return float(np.clip(wanted, min(1.5, self.widest), self.widest))

    @property
    def _level_width(self) -> float:
        """Inches that the names of the categories need side by side."""
        return (max(map(text_width, self.names or [""])) + 0.1) * self.size

    @property
    def is_upright(self) -> bool:
        """True if the names of the categories have to be turned to fit."""
        return self.names is not None and not self.is_crowded and self._level_width > min(3.2, self.widest)

    @property
    def label_height(self) -> float:
        """Inches that the tick labels need below the lowest row."""
        return max(map(text_width, self.names or [""])) if self.is_upright else 0.2

    @property
    def places(self) -> FloatArray:
        """Positions (I_n,) as numbers, dates as matplotlib counts them."""
        if self.positions.dtype.kind == "M":
            from matplotlib.dates import date2num

            return np.asarray(date2num(self.positions), dtype=float)  # type: ignore[no-untyped-call]
        return self.positions.astype(float)

    @property
    def step(self) -> float:
        """Distance of the nearest neighbours, in the unit of `places`."""
        return float(np.abs(np.diff(self.places)).min()) if self.size > 1 else 1.0

    def label_ticks(self, ax: Axes) -> None:
        """Write the positions below the axes, as many as there is room for."""
        from matplotlib import dates
        from matplotlib.ticker import MaxNLocator

        if self.is_crowded:
            ax.set_xticks([])
            ax.set_xlabel(f"{self.size} in all, the largest named", fontsize=TEXT_SIZE)
        elif self.names is not None:
            name_ticks(ax.xaxis, self.places, self.names)
            ax.tick_params(axis="x", rotation=90 if self.is_upright else 0)
        elif self.positions.dtype.kind == "M":
            locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
            ax.xaxis.set_major_locator(locator)
            ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
            ax.xaxis.get_offset_text().set_fontsize(TEXT_SIZE)
        elif self.positions.dtype.kind in "iu":
            widest = max(map(text_width, label_texts(self.positions[[0, -1]])))
            if self.size * (widest + 0.03) <= 2.0:
                ax.set_xticks(self.positions)
            else:
                count = max(2, int(2.0 / (widest + 0.08)))
                ax.xaxis.set_major_locator(
                    MaxNLocator(nbins=min(count, 7), steps=[1, 2, 3, 5, 6, 10], integer=True)
                )
            ax.ticklabel_format(axis="x", style="plain", useOffset=False)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))


def name_ticks(axis: Axis, places: ArrayLike, names: Sequence[str]) -> None:
    """Write names (k,) at places (k,) along an axis."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    axis.set_major_locator(FixedLocator(np.asarray(places, dtype=float).tolist()))
    axis.set_major_formatter(FixedFormatter(list(names)))
    axis.set_minor_locator(NullLocator())


def text_width(text: str) -> float:
    """Return the inches that a label takes, on the generous side."""
    ems = sum(
        1.0 if c in "mwMW@%" or ord(c) > 0x2E80 else 0.35 if c in " ijlt.,:;'|I-()" else 0.68 for c in text
    )
    return ems * TEXT_SIZE / 72


def plain(text: str) -> str:
    """Return text that matplotlib does not take for mathematics."""
    return text.replace("$", r"\$")


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
