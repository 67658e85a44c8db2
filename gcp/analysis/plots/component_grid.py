"""The panels of a picture of components: a row for each component, a column per mode."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.analysis.plots.axis import ModeAxis, text_width
from gcp.analysis.plots.frame import inches
from gcp.analysis.plots.palette import TEXT_SIZE
from gcp.base.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 5
_MOST_BARS = 200
_TALLEST = 300.0
_BAR = 0.8
_FARTHEST = 3.0
"""Multiples of the entries' range that error bars may add to the scale."""


def grid_size(columns: Sequence[ModeAxis], n_rows: int) -> tuple[float, float]:
    """Return width and height in inches: rows get flatter as there are more of them."""
    row = float(np.clip(8.0 / n_rows, 0.75, 1.3))
    below = max(column.label_height for column in columns) + 0.3
    width = sum(column.width + 0.5 for column in columns) + 1.0
    return max(width, 3.2), min(n_rows * row, _TALLEST) + below + 0.3


def grid_axes(figure: Figure, columns: Sequence[ModeAxis], n_rows: int) -> Any:
    """Return axes (rows, columns) in one style; all rows of a column share their scales."""
    root = figure.canvas.figure  # of a subfigure too
    if root.get_layout_engine() is None:
        root.set_layout_engine("constrained")
    widths = [column.width for column in columns]
    axes = figure.subplots(
        n_rows, len(columns), sharex="col", sharey="col", squeeze=False, width_ratios=widths
    )
    for n, column in enumerate(columns):
        axes[0, n].set_title(column.name, fontsize=TEXT_SIZE + 2)
        column.label_ticks(axes[-1, n])
        for ax in axes[:, n]:
            ax.spines[["top", "right"]].set_visible(False)
            ax.tick_params(labelsize=TEXT_SIZE, length=2.5, width=0.6)
    figure.align_ylabels(axes[:, 0])
    return axes


def set_scale(ax: Axes, column: ModeAxis, entries: FloatArray, beside: Sequence[FloatArray] = ()) -> None:
    """Set the scales of a column by all that it shows: zero is in it, and names have room above.

    Parameters
    ----------
    ax : Axes
        The others of the column share its scales.
    column : ModeAxis
    entries : ndarray, shape (I_n, R)
    beside : sequence of ndarray
        What else is drawn; it makes the scale three times as large, at most.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = _range(entries, (0.0, 0.0))
    span = (high - low) or 1.0
    for values in beside:
        least, most = _range(values, (low, high))
        low, high = max(least, low - _FARTHEST * span), min(most, high + _FARTHEST * span)
    span = (high - low) or 1.0
    ax.set_ylim(low - (0.05 * span if low < 0 else 0.0), high + (0.45 if column.is_crowded else 0.08) * span)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], min_n_ticks=3))
    if column.names is not None or column.kind == "bar":
        places, step = column.places, column.step
        ax.set_xlim(places.min() - 0.7 * step, places.max() + 0.7 * step)


def _range(values: FloatArray, within: tuple[float, float]) -> tuple[float, float]:
    """Return the least and the largest of values that are numbers, and of two more."""
    known = values[np.isfinite(values)]
    return float(known.min(initial=within[0])), float(known.max(initial=within[1]))


def draw_entries(
    ax: Axes,
    column: ModeAxis,
    values: FloatArray,
    color: str | list[str],
    *,
    part: tuple[int, int] = (0, 1),
    label: str = "",
) -> None:
    """Draw a column of a factor, values (I_n,); a list of colours is one for each position.

    `part` says which of how many models stand beside each other.
    """
    k, n = part
    places = column.places + (0.0 if column.kind == "line" else (k - (n - 1) / 2) * _BAR / n * column.step)
    if column.kind == "line":
        style = "-" if k == 0 else (0, (4, 2))  # what lies below shows through the gaps
        _draw_line(ax, places, values, color, style, is_filled=n == 1, label=label)
    elif column.kind == "dot":
        size = 3.5 if column.size <= 31 else 2.5 if column.size <= _MOST_BARS else 1.5
        ax.scatter(places, values, s=size**2, c=color, lw=0, label=label, zorder=3)
    elif column.size <= _MOST_BARS:
        ax.bar(places, values, width=_BAR / n * column.step, color=color, lw=0, label=label)
    else:  # thousands of separate rectangles would be slow
        thickness = max(0.4, _BAR / n * 72 * column.width / column.size)
        ax.vlines(places, 0, values, color=color, lw=thickness, label=label)
    if ax.get_ylim()[0] < 0 or column.kind == "dot":
        ax.axhline(0, color="0.5", lw=0.6, zorder=0.5)


def _draw_line(
    ax: Axes,
    places: FloatArray,
    values: FloatArray,
    color: str | list[str],
    style: Any,
    *,
    is_filled: bool,
    label: str,
) -> None:
    size = len(places)
    width = 1.2 if size <= 60 else 0.8
    if isinstance(color, list):
        ax.plot(places, values, color="0.6", lw=0.8, label=label)
        ax.scatter(places, values, s=9.0 if size <= 60 else 4.0, c=color, lw=0, zorder=3)
        return
    marker = "o" if size <= 31 and is_filled else ""
    ax.plot(places, values, color=color, lw=width, ls=style, marker=marker, ms=2.5, label=label)
    if is_filled:
        ax.fill_between(places, values, color=color, alpha=0.18, lw=0)


def draw_faint(ax: Axes, column: ModeAxis, values: FloatArray) -> None:
    """Draw the same column of another start, values (I_n,), behind: a thin grey line, or a dash for each position."""
    if column.kind == "line":
        ax.plot(column.places, values, color="0.45", lw=0.6, alpha=0.7, zorder=2.5)
    else:
        half = 0.5 * _BAR * column.step
        ax.hlines(
            values, column.places - half, column.places + half, color="0.25", lw=0.6, alpha=0.7, zorder=4
        )


def draw_errors(
    ax: Axes, column: ModeAxis, low: FloatArray, high: FloatArray, color: str | list[str]
) -> None:
    """Draw intervals (I_n,): a band along a line, else a bar at each position."""
    if column.kind == "line" and isinstance(color, str):
        ax.fill_between(column.places, low, high, color=color, alpha=0.35, lw=0, zorder=2)
    else:
        ax.vlines(column.places, low, high, color="0.2", lw=0.8 if column.size <= 60 else 0.4, zorder=4)


def name_largest(ax: Axes, column: ModeAxis, values: FloatArray) -> None:
    """Write the names of the largest of values (I_n,) in a line above the bars, each led to its bar."""
    names, size = column.names or [], np.abs(np.nan_to_num(values))
    largest = [int(i) for i in np.argsort(-size, kind="stable")[:_NAMED] if size[i] > 0]
    width = inches(ax)[0]
    widths = {i: (text_width(names[i]) + 0.1) / width * column.size for i in largest}
    while len(largest) > 1 and sum(widths[i] for i in largest) > column.size:
        largest.pop()
    largest.sort()
    places = apart(
        np.array(largest, dtype=float), np.array([widths[i] for i in largest]), -0.7, column.size - 0.3
    )
    low, high = ax.get_ylim()
    height = low + (high - low) * 0.9
    for i, place in zip(largest, places, strict=True):
        bend = height - 0.08 * (high - low)
        tip = max(float(values[i]), 0.0)
        ax.plot([place, i, i], [height - 0.01 * (high - low), bend, tip], color="0.6", lw=0.5, zorder=0.6)
        ax.text(
            place, height, names[i], fontsize=TEXT_SIZE - 0.5, ha="center", va="bottom", color="0.15"
        ).set_in_layout(False)


def apart(wanted: FloatArray, widths: FloatArray, low: float, high: float) -> FloatArray:
    """Return centres (k,) nearest to the wanted ones for intervals that neither overlap nor leave [low, high]."""
    from scipy.optimize import isotonic_regression

    offsets = np.cumsum(widths) - widths / 2  # places less offsets must rise, and fit between the ends
    loose = isotonic_regression(wanted - offsets).x
    return np.asarray(np.clip(loose, low, high - widths.sum()) + offsets)


def label_row(ax: Axes, label: str) -> None:
    """Write what a row is, upright at its left."""
    ax.set_ylabel(label, fontsize=TEXT_SIZE, rotation=0, ha="right", va="center")


def amount(weight: float) -> str:
    """Return a weight in words that are short."""
    return f"{weight:,.0f}" if 1e3 <= weight < 1e6 else f"{weight:.4g}"
