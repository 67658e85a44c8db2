"""Names beside points that neither lie on each other nor leave the axes."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from gcp.analysis.plots.axis import plain, text_width
from gcp.analysis.plots.frame import inches
from gcp.analysis.plots.palette import TEXT_SIZE
from gcp.base.label_text import shortened
from gcp.base.types import Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = TEXT_SIZE - 0.5
_GENEROUS = 1.2
"""Boxes of names, in what they take of the axes as they are before the layout."""
_STEPS = 9
_GAP = 0.02
"""Of a name from its point, in the width of the axes."""
Box = tuple[float, float, float, float]


def name_points(ax: Axes, x: ArrayLike, y: ArrayLike, named: Sequence[int], names: Sequence[str]) -> None:
    """Write names beside some of the points, the first ones nearest; one that finds no place is left out.

    Parameters
    ----------
    ax : Axes
        With everything drawn; its limits stay as they are.
    x, y : array_like, shapes (n,)
        All points; names keep off them where there is room.
    named : sequence of int, length k
        Which of them have names.
    names : sequence of str, length k
    """
    points = np.column_stack([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    if not len(named):
        return
    ax.set(xlim=ax.get_xlim(), ylim=ax.get_ylim())
    at = ax.transAxes.inverted().transform(ax.transData.transform(points))
    width, height = inches(ax)
    line = _GENEROUS * 1.3 * _SIZE / 72 / height
    taken: list[Box] = []
    for k, name in zip(named, shortened(list(names)), strict=True):
        size = _GENEROUS * text_width(name) / width, line
        box = _place(at, k, size, taken, at) or _place(at, k, size, taken, at[list(named)])
        if box is None:
            continue
        taken.append(box)
        side = "right" if box[2] < at[k, 0] else "left" if box[0] > at[k, 0] else "center"
        edge = {"right": box[2], "left": box[0], "center": (box[0] + box[2]) / 2}[side]
        middle = (box[1] + box[3]) / 2
        is_far = np.hypot(edge - at[k, 0], middle - at[k, 1]) > 0.05
        ax.annotate(
            plain(name),
            points[k],
            (edge, middle),
            xycoords="data",
            textcoords="axes fraction",
            ha=side,
            va="center",
            fontsize=_SIZE,
            arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
            if is_far
            else None,
        )


def _place(at: Array, k: int, size: tuple[float, float], taken: list[Box], points: Array) -> Box | None:
    """Return the nearest box (left, bottom, right, top) for the name of point k of at (n, 2) that is free.

    It is free of other names, and of points (m, 2).
    """
    width, height = size
    sides = ("right", "left", "center") if at[k, 0] > 0.5 else ("left", "right", "center")
    for step, side in itertools.product(range(_STEPS), sides):
        left = _left_end(at[k, 0], width, side)
        for rise in (0.0,) if step == 0 else (step * height, -step * height):
            bottom = at[k, 1] + rise - height / 2
            box = left, bottom, left + width, bottom + height
            if min(box[:2]) < 0 or max(box[2:]) > 1:
                continue
            inside = (points >= box[:2]) & (points <= box[2:])
            if not inside.all(axis=1).any() and not any(_overlap(box, other) for other in taken):
                return box
    return None


def _left_end(x: float, width: float, side: str) -> float:
    """Return where a name begins that has its point at its right, left or centre."""
    if side == "center":
        return float(np.clip(x - width / 2, 0.0, max(1 - width, 0.0)))
    return x - _GAP - width if side == "right" else x + _GAP


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
