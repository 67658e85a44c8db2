"""A map of the cells whose data are not what a model expects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.anomalies import Anomalies
from gcp.analysis.plots.axis import ModeAxis, name_ticks, text_width
from gcp.analysis.plots.frame import axes_or_new, inches, labelled, legend_above
from gcp.analysis.plots.groups import modes_of
from gcp.analysis.plots.palette import COLORS, TEXT_SIZE
from gcp.base.checks import instance, show
from gcp.base.errors import ParameterError
from gcp.base.label_text import label_texts
from gcp.base.types import Array
from gcp.objectives.known_cells import check_result
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _HEIGHT, _TALLEST = 6.0, 3.6, 6.0
_MOST_NAMED = 12
_LINE = 1.4 * TEXT_SIZE / 72
"""Inches that a name takes across its line."""


def plot_surprises(
    result: FitResult,
    found: Anomalies,
    modes: tuple[int | str, int | str] | None = None,
    *,
    ax: Axes | None = None,
) -> Axes:
    """Draw a map of the most surprising cells in two modes.

    Parameters
    ----------
    result : FitResult
    found : Anomalies
        Of `gcp.analysis.anomalies`; a hundred or two make a good map.
    modes : pair of int or str, optional
        Across and upwards; None takes the two longest, the longer across.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ParameterError
        A model of one mode, or the same mode twice.
    """
    check_result(result)
    instance("found", found, Anomalies, "the Anomalies of gcp.analysis.anomalies")
    shape = result.shape
    if len(shape) < 2:
        raise ParameterError("A map of surprises needs two modes: found a model of one.")
    if modes is None:
        across, upwards = sorted(range(len(shape)), key=lambda n: -shape[n])[:2]
    else:
        pair = modes_of(modes, result.labels)
        if len(set(pair)) != 2 or len(pair) != 2:
            raise ParameterError(f"A map of surprises needs two different modes: found {show(modes)}.")
        across, upwards = pair
    columns = [ModeAxis.of(result.labels, n, shape[n]) for n in (across, upwards)]
    tall = _LINE * columns[1].size if columns[1].names is not None else _HEIGHT
    ax = axes_or_new(ax, (_WIDTH, float(np.clip(tall + 0.8, _HEIGHT, _TALLEST))))
    subs = found.subs[:, [across, upwards]]
    points = [column.places[own] for column, own in zip(columns, subs.T, strict=True)]
    with np.errstate(divide="ignore"):
        area = np.clip(-np.log10(found.p_value), 1.0, 30.0) * 3
    is_high = found.observed > found.expected
    kinds = (
        (is_high, "^", COLORS[1], "more than expected"),
        (~is_high, "v", COLORS[0], "less than expected"),
    )
    for where, marker, color, label in kinds:
        if where.any():
            chosen = points[0][where], points[1][where]
            ax.scatter(*chosen, s=area[where], marker=marker, color=color, alpha=0.65, lw=0, label=label)
    ax.margins(0.04)
    legend_above(ax)
    for column, own, is_across in zip(columns, subs.T, (True, False), strict=True):
        _label_positions(ax, column, np.bincount(own, minlength=column.size), is_across=is_across)
    first = ", ".join(label_texts(label)[0] for label in found.labels)
    words = (
        f"The {len(is_high)} most surprising cells by {columns[0].name} and {columns[1].name}: {int(is_high.sum())} "
        f"have more than expected, {int((~is_high).sum())} less; the most surprising is {first} with "
        f"{found.observed[0]:.3g} where {found.expected[0]:.3g} is expected."
    )
    return labelled(ax, columns[0].name, columns[1].name, "", words)


def _label_positions(ax: Axes, column: ModeAxis, often: Array, *, is_across: bool) -> None:
    """Name positions along an axis: all if there is room, else those that are there most often (I_n,)."""
    from matplotlib import dates
    from matplotlib.ticker import MaxNLocator

    axis, length = (ax.xaxis, inches(ax)[0]) if is_across else (ax.yaxis, inches(ax)[1])
    if column.names is None:
        if column.positions.dtype.kind == "M":
            locator = dates.AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]
            axis.set_major_locator(locator)
            axis.set_major_formatter(dates.ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
        elif column.positions.dtype.kind in "iu":
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        return
    is_level = is_across and (max(map(text_width, column.names)) + 0.1) * column.size < length
    room = 0.0 if is_level else _LINE * column.size / length
    if room <= 1:
        named = list(range(column.size))
    else:
        named = []
        for k in np.argsort(-often, kind="stable")[: 5 * _MOST_NAMED]:
            if often[k] and len(named) < _MOST_NAMED and all(abs(k - other) > room for other in named):
                named.append(int(k))
    name_ticks(axis, column.places[named], [column.names[k] for k in named])
    if is_across and not is_level:
        ax.tick_params(axis="x", rotation=90)
