"""Pictures of where data are not what a model expects: by position, and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.analysis.anomalies import Anomalies
from gcp.analysis.plots.axis import COLORS, TEXT_SIZE, ModeAxis, plain
from gcp.analysis.plots.frame import axes_or_new, figure_or_new, labelled
from gcp.base.checks import instance, items, show
from gcp.base.errors import ParameterError
from gcp.base.labels import ModeLabels
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import blocks, check_result, tensor_of
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 5


def plot_observed(
    result: FitResult, data: Any, modes: Sequence[int | str] | None = None, *, figure: Figure | None = None
) -> list[Axes]:
    """Draw means of the data against those of the model's expectation, a point for every position of a mode.

    The positions that are farthest from the line, in standard errors, are named if that is more than 3.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Sparse data of more than 2**28 cells are refused.
    modes : sequence of int or str, optional
        Numbers or names, a panel each; None is all.
    figure : matplotlib Figure, optional
        None makes one.

    Returns
    -------
    list of matplotlib.axes.Axes

    Notes
    -----
    One pass over all cells.
    """
    check_result(result)
    labels, shape = result.labels, result.shape
    chosen = range(len(shape)) if modes is None else _numbers(labels, modes, "a list of modes")
    sums = {n: np.zeros((4, shape[n])) for n in chosen}
    for subs, x, m, w in blocks(result, tensor_of(result, data)):
        expected = result.loss.mean(m)
        parts = w * x, w * expected, np.square(w * (x - expected)), w
        for n, totals in sums.items():
            for total, part in zip(totals, parts, strict=True):
                total += np.bincount(subs[:, n], part, shape[n])
    columns = min(len(sums), 3)
    lines = -(-len(sums) // max(columns, 1))
    figure = figure_or_new(figure, (3.2 * columns, 3.0 * lines))
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for ax in axes[len(sums) :]:
        ax.set_visible(False)
    for ax, (n, totals) in zip(axes, sums.items(), strict=False):
        _observed(ax, totals, [plain(str(label)) for label in labels.values(n, shape[n])])
        labelled(ax, "expected mean", "observed mean", plain(labels.names[n]))
    return axes[: len(sums)]


def _numbers(labels: ModeLabels, modes: Any, expected: str) -> list[int]:
    found = [labels.number(mode) for mode in items("modes", modes, expected)]
    if not found:
        raise ParameterError(f"modes must be {expected}: found none.")
    return found


def _observed(ax: Axes, sums: FloatArray, names: list[str]) -> None:
    """Draw a panel from sums (4, I_n) over a mode's slices: data, expectations, squared differences, weights."""
    known = np.flatnonzero(sums[3])
    observed, expected = sums[0, known] / sums[3, known], sums[1, known] / sums[3, known]
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.abs(sums[0] - sums[1])[known] / np.sqrt(sums[2, known])
    low, high = float(min(observed.min(), expected.min())), float(max(observed.max(), expected.max()))
    if low >= 0 and high > 30 * max(float(np.median(observed)), 1e-300):
        least = min(float(a[a > 0].min(initial=high)) for a in (observed, expected))
        ax.set_xscale("symlog", linthresh=least)
        ax.set_yscale("symlog", linthresh=least)
    ax.plot([low, high], [low, high], color="0.55", lw=0.8, zorder=1)
    size = 3.5 if len(names) <= 200 else 2
    ax.plot(expected, observed, "o", ms=size, alpha=0.8, color=COLORS[0], mew=0, zorder=2)
    for k in np.argsort(-np.nan_to_num(away))[:_NAMED]:
        if away[k] > 3:
            is_left = expected[k] < 0.5 * (low + high)
            ax.annotate(
                names[known[k]][:24],
                (expected[k], observed[k]),
                (5 if is_left else -5, 0),
                textcoords="offset points",
                ha="left" if is_left else "right",
                va="center",
                fontsize=TEXT_SIZE - 0.5,
            )


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
    from matplotlib.ticker import MaxNLocator

    check_result(result)
    instance("found", found, Anomalies, "the Anomalies of gcp.analysis.anomalies")
    shape = result.shape
    if len(shape) < 2:
        raise ParameterError("A map of surprises needs two modes: found a model of one.")
    if modes is None:
        across, upwards = sorted(range(len(shape)), key=lambda n: -shape[n])[:2]
    else:
        pair = _numbers(result.labels, modes, "a pair of modes")
        if len(set(pair)) != 2 or len(pair) != 2:
            raise ParameterError(f"A map of surprises needs two different modes: found {show(modes)}.")
        across, upwards = pair
    columns = [ModeAxis.of(result.labels, n, shape[n]) for n in (across, upwards)]
    ax = axes_or_new(ax, 6.0)
    points = [
        column.positions[found.subs[:, n]] for column, n in zip(columns, (across, upwards), strict=True)
    ]
    with np.errstate(divide="ignore"):
        area = np.clip(-np.log10(found.p_value), 1.0, 30.0) * 5
    is_high = found.observed > found.expected
    kinds = (
        (is_high, "^", COLORS[1], "more than expected"),
        (~is_high, "v", COLORS[0], "less than expected"),
    )
    for where, marker, color, label in kinds:
        if where.any():
            chosen = points[0][where], points[1][where]
            ax.scatter(*chosen, s=area[where], marker=marker, color=color, alpha=0.65, lw=0, label=label)
    for column, axis in zip(columns, (ax.xaxis, ax.yaxis), strict=True):
        if column.names is None:
            if column.positions.dtype.kind in "iu":
                axis.set_major_locator(MaxNLocator(nbins=8, integer=True))
            continue
        if not column.is_crowded:
            axis.set_ticks(column.positions, column.names)
            continue
        n = across if axis is ax.xaxis else upwards
        often = np.bincount(found.subs[:, n], minlength=shape[n])
        named = [k for k in np.argsort(-often, kind="stable")[:_NAMED] if often[k] > 1]
        axis.set_ticks(column.positions[named], [column.names[k] for k in named])
    if columns[0].names is not None and (columns[0].is_crowded or columns[0].is_upright):
        ax.tick_params(axis="x", rotation=90)
    ax.margins(0.04)
    ax.legend(fontsize=TEXT_SIZE, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return labelled(ax, columns[0].name, columns[1].name, "")
