"""A picture of all components of a model: a row per component, a column per mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.plots.axis import COLORS, TEXT_SIZE, ModeAxis, text_width
from gcp.analysis.plots.frame import figure_or_new
from gcp.base.checks import items, show
from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import check_result
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 5
_MOST_BARS = 200
_TALLEST = 300.0


def plot_components(
    result: FitResult, *, figure: Figure | None = None, components: Iterable[int] | None = None
) -> Figure:
    """Draw the components of a model: one row each, one column per mode.

    Named categories are bars, ordered coordinates (numbers, dates, positions) lines. Of more than 40 categories
    only the largest of each component are named. All rows of a column share one vertical scale, in which each
    column of a factor has norm 1; the weight of a component stands at its left. Positions of which nothing is known
    are left blank.

    Parameters
    ----------
    result : FitResult
    figure : matplotlib Figure, optional
        Where to draw; it keeps its size. None makes a new one that is large enough, without pyplot.
    components : iterable of int, optional
        Which components, counted from 0, in this order. None is all, as the result has them: heaviest first.

    Returns
    -------
    matplotlib.figure.Figure
        To be saved with ``.savefig(path)``.

    Raises
    ------
    ParameterError
        No such component, none at all (rank 0), or matplotlib is not installed.

    Examples
    --------
    >>> import gcp
    >>> result = gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss="poisson", random_state=0)
    >>> len(gcp.plots.plot_components(result).axes)
    8
    """
    check_result(result)
    rows = _chosen(components, result.rank)
    columns = [ModeAxis.of(result.labels, n, size) for n, size in enumerate(result.shape)]
    figure = figure_or_new(figure, _size(columns, len(rows)))
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    axes = figure.subplots(
        len(rows),
        len(columns),
        sharex="col",
        sharey="col",
        squeeze=False,
        width_ratios=[column.width for column in columns],
    )
    for n, column in enumerate(columns):
        factor = result.marked(result.labels.names[n], result.factors[n])[:, rows]
        _scale(axes[-1, n], factor, column)
        for row, k in enumerate(rows):
            _draw(axes[row, n], column, factor[:, row], COLORS[k % len(COLORS)])
        axes[0, n].set_title(column.name, fontsize=TEXT_SIZE + 2)
        _label_positions(axes[-1, n], column)
    for row, k in enumerate(rows):
        _label_component(axes[row, 0], k, float(result.weights[k]))
    figure.align_ylabels(axes[:, 0])
    return figure


def _chosen(components: Iterable[int] | None, rank: int) -> list[int]:
    """Return component numbers, checked."""
    if rank == 0:
        raise ParameterError("There are no components to draw: the model has main effects alone (rank 0).")
    if components is None:
        return list(range(rank))
    chosen = items("components", components, "a list of numbers")
    if not chosen:
        raise ParameterError("components is empty: name at least one.")
    for k in chosen:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k < rank:
            raise ParameterError(
                f"components: there is no component {show(k)}; they count from 0 to {rank - 1}."
            )
    return chosen


def _size(columns: list[ModeAxis], n_rows: int) -> tuple[float, float]:
    """Return width and height in inches: rows get flatter as there are more of them."""
    row = float(np.clip(8.0 / n_rows, 0.75, 1.3))
    below = max(column.label_height for column in columns) + 0.3
    width = sum(column.width + 0.5 for column in columns) + 1.0
    return max(width, 3.2), min(n_rows * row, _TALLEST) + below + 0.3


def _scale(ax: Axes, factor: FloatArray, column: ModeAxis) -> None:
    """Set the vertical scale of a column by the factor (I_n, R): zero is in it, and names have room above."""
    from matplotlib.ticker import MaxNLocator

    low, high = min(float(np.nanmin(factor)), 0.0), max(float(np.nanmax(factor)), 0.0)
    span = (high - low) or 1.0
    ax.set_ylim(low - (0.05 * span if low < 0 else 0.0), high + (0.45 if column.is_crowded else 0.08) * span)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10], min_n_ticks=3))


def _draw(ax: Axes, column: ModeAxis, values: FloatArray, color: str) -> None:
    """Draw one component in one mode, values (I_n,)."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=TEXT_SIZE, length=2.5, width=0.6)
    if column.names is None:
        marker = "o" if column.size <= 31 else ""
        ax.plot(
            column.positions,
            values,
            color=color,
            lw=1.2 if column.size <= 60 else 0.8,
            marker=marker,
            ms=2.5,
        )
        ax.fill_between(column.positions, values, color=color, alpha=0.18, lw=0)
    elif column.size <= _MOST_BARS:
        ax.bar(column.positions, values, width=0.8, color=color, lw=0)
    else:  # thousands of separate rectangles would be slow
        ax.vlines(
            column.positions, 0, values, color=color, lw=max(0.4, 0.8 * 72 * column.width / column.size)
        )
    if ax.get_ylim()[0] < 0:
        ax.axhline(0, color="0.5", lw=0.6, zorder=0.5)
    if column.names is not None:
        ax.set_xlim(-0.7, column.size - 0.3)
    if column.is_crowded and column.names is not None:
        _name_largest(ax, column, column.names, values)


def _name_largest(ax: Axes, column: ModeAxis, names: list[str], values: FloatArray) -> None:
    """Write the names of the largest of values (I_n,) in a line above the bars, each led to its bar."""
    size = np.abs(values)
    largest = [int(i) for i in np.argsort(-size, kind="stable")[:_NAMED] if size[i] > 0]
    widths = {i: (text_width(names[i]) + 0.1) / column.width * column.size for i in largest}
    while len(largest) > 1 and sum(widths[i] for i in largest) > column.size:
        largest.pop()
    largest.sort()
    places = _apart(
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


def _apart(wanted: FloatArray, widths: FloatArray, low: float, high: float) -> FloatArray:
    """Return centres (k,) nearest to the wanted ones for intervals that neither overlap nor leave [low, high]."""
    from scipy.optimize import isotonic_regression

    offsets = np.cumsum(widths) - widths / 2  # places less offsets must rise, and fit between the ends
    loose = isotonic_regression(wanted - offsets).x
    return np.asarray(np.clip(loose, low, high - widths.sum()) + offsets)


def _label_positions(ax: Axes, column: ModeAxis) -> None:
    """Label the ticks of the lowest row, which the rows above share."""
    from matplotlib import dates
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.get_offset_text().set_fontsize(TEXT_SIZE)  # the year of dates, the exponent of numbers
    if column.is_crowded:
        ax.set_xticks([])
        ax.set_xlabel(f"{column.size} in all, the largest named", fontsize=TEXT_SIZE)
    elif column.names is not None:
        ax.set_xticks(column.positions, column.names, rotation=90 if column.is_upright else 0)
    elif column.positions.dtype.kind == "M":
        locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    elif column.positions.dtype.kind in "iu":
        if column.size <= 12:
            ax.set_xticks(column.positions)
        else:
            ax.xaxis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 3, 5, 6, 10], integer=True))


def _label_component(ax: Axes, number: int, weight: float) -> None:
    """Write number and weight, upright at the left of a row."""
    amount = f"{weight:,.0f}" if 1e3 <= weight < 1e6 else f"{weight:.4g}"
    label = f"component {number}\nweight {amount}"
    ax.set_ylabel(label, fontsize=TEXT_SIZE, rotation=0, ha="right", va="center")
