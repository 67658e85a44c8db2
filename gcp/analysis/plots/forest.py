"""Intervals of weights or of the entries of a mode, one below the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gcp.analysis.bootstrap import Bootstrap
from gcp.analysis.plots.axis import MANY, name_ticks, plain
from gcp.analysis.plots.components import chosen_components
from gcp.analysis.plots.error_bars import ModelIntervals, intervals_of
from gcp.analysis.plots.frame import axes_or_new, labelled, legend_above
from gcp.analysis.plots.palette import GREY, color
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base.label_text import label_texts, shortened
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE = 0.16
"""Inches of a line."""
_MOST_IN_WORDS = 12


class _Entry(NamedTuple):
    component: int
    shift: float
    value: float
    low: float
    high: float


class _Line(NamedTuple):
    name: str
    entries: list[_Entry]


def plot_forest(
    result: FitResult,
    errors: StandardErrors | Bootstrap,
    mode: int | str | None = None,
    *,
    components: Iterable[int] | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Axes:
    """Draw intervals one below the other: of the weights, or of a mode's entries, a line for each component.

    Parameters
    ----------
    result : FitResult
    errors : StandardErrors or Bootstrap
        Of `gcp.analysis.standard_errors` or `gcp.analysis.bootstrap` of this result.
    mode : int or str, optional
        Number or name of the mode whose entries are drawn; of more than 40 positions those of the largest entries.
        None is the weights.
    components : iterable of int, optional
        Which components, counted from 0; None is all.
    level : float
        Probability that an interval holds the truth, between 0 and 1.
    ax : matplotlib Axes, optional
        None makes a figure that is high enough.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    Points are the entries of the fit; intervals lie about estimates without bias, and need not have them in the
    middle. Where there is no interval, the point stands alone.
    """
    rows, intervals = chosen_components(result, components), intervals_of(errors, result, level)
    if mode is None:
        what, lines = "weight", _of_weights(result, intervals, rows)
    else:
        n = result.labels.number(mode)
        what, lines = f"entries of {result.labels.names[n]}", _of_mode(result, intervals, n, rows)
    entries = [(at, entry) for at, line in enumerate(lines) for entry in line.entries]
    ax = axes_or_new(ax, (4.4, 0.9 + _LINE * max(len(lines), 0.6 * len(entries))))
    low, high = (np.array([getattr(entry, end) for _, entry in entries]) for end in ("low", "high"))
    at = np.array([place + entry.shift for place, entry in entries])
    colors = [color(entry.component) for _, entry in entries]
    ax.hlines(at, low, high, color=colors, lw=1.3)
    ax.scatter([entry.value for _, entry in entries], at, s=9, c=colors, zorder=3)
    ax.axvline(0, color=GREY, lw=0.6, zorder=0.5)
    name_ticks(ax.yaxis, range(len(lines)), [line.name for line in lines])
    ax.set_ylim(len(lines) - 0.4, -0.6)
    if mode is not None and len(rows) > 1:
        _name_components(ax, rows)
    known = np.isfinite(low) & np.isfinite(high)
    away = int(np.count_nonzero(known & ((low > 0) | (high < 0))))
    words = f"{level:.0%} intervals of {what}: {away} of {int(known.sum())} do not hold 0."
    if len(entries) <= _MOST_IN_WORDS:
        parts = (f"{e.component}: {e.value:.4g} ({e.low:.4g} to {e.high:.4g})" for _, e in entries)
        words += f" By component, {', '.join(parts)}."
    return labelled(ax, f"{plain(what)}, with {level:.0%} intervals", "", "", words)


def _of_weights(result: FitResult, intervals: ModelIntervals, rows: list[int]) -> list[_Line]:
    low, high = intervals.weights
    return [
        _Line(f"component {k}", [_Entry(k, 0.0, float(result.weights[k]), float(low[k]), float(high[k]))])
        for k in rows
    ]


def _of_mode(result: FitResult, intervals: ModelIntervals, n: int, rows: list[int]) -> list[_Line]:
    """Return a line for each position, of many for those of the largest entries."""
    values = result.marked(result.labels.names[n], result.factors[n])
    low, high = intervals.factors[n]
    labels = label_texts(result.labels.values(n, result.shape[n]))
    size = np.nan_to_num(np.abs(values[:, rows])).max(axis=1)
    shown = np.sort(np.argsort(-size, kind="stable")[:MANY])
    names = shortened([plain(labels[i]) for i in shown])
    shifts = [0.7 * ((j + 0.5) / len(rows) - 0.5) for j in range(len(rows))]
    return [
        _Line(
            name,
            [_Entry(k, s, values[i, k], low[i, k], high[i, k]) for k, s in zip(rows, shifts, strict=True)],
        )
        for name, i in zip(names, shown, strict=True)
    ]


def _name_components(ax: Axes, rows: list[int]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=color(k), marker="o", ms=3, label=f"component {k}") for k in rows]
    legend_above(ax, 3, list(handles))
