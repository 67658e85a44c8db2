"""Means of the data against what a model expects, position by position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.analysis.plots.axis import plain
from gcp.analysis.plots.frame import figure_or_new, labelled
from gcp.analysis.plots.groups import modes_of
from gcp.analysis.plots.naming import name_points
from gcp.analysis.plots.palette import COLORS, GREY
from gcp.base.label_text import label_texts
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import blocks, check_result, tensor_of
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMED = 5
_FAR = 3.0
"""Standard errors."""


def plot_observed(
    result: FitResult,
    data: Any,
    modes: Sequence[int | str] | None = None,
    *,
    figure: Figure | None = None,
    **carried: Unpack[Carried],
) -> Any:
    """Draw means of the data against those of the model's expectation, a point for every position of a mode.

    The positions that are farthest from the line, in standard errors, are named if that is more than 3.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Sparse data of more than 2**28 cells are refused.
    modes : sequence of int or str, optional
        Numbers or names, a panel each; None is all.
    figure : matplotlib Figure or SubFigure, optional
        None makes one.
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (modes,)

    Notes
    -----
    One pass over all cells.
    """
    sums = slice_sums(result, data, modes, **carried)
    columns = min(len(sums), 3)
    lines = -(-len(sums) // columns)
    figure = figure_or_new(figure, (3.2 * columns, 3.0 * lines))
    axes = figure.subplots(lines, columns, squeeze=False).ravel()
    for ax in axes[len(sums) :]:
        ax.remove()
    for ax, (n, totals) in zip(axes, sums.items(), strict=False):
        draw_observed(ax, result, n, totals)
    return axes[: len(sums)]


def slice_sums(
    result: FitResult, data: Any, modes: Sequence[int | str] | None = None, **carried: Unpack[Carried]
) -> dict[int, FloatArray]:
    """Return sums (4, I_n) over the slices of modes, by number: data, expectations, squared differences, weights."""
    check_result(result)
    shape = result.shape
    sums = {n: np.zeros((4, shape[n])) for n in modes_of(modes, result.labels)}
    for cells in blocks(result, tensor_of(result, data, **carried)):
        subs, x, m, w = cells.subs, cells.x, cells.m, cells.w
        expected = result.loss_at(subs).mean(m)
        parts = w * x, w * expected, np.square(w * (x - expected)), w
        for n, totals in sums.items():
            for total, part in zip(totals, parts, strict=True):
                total += np.bincount(subs[:, n], part, shape[n])
    return sums


def draw_observed(ax: Axes, result: FitResult, mode: int, sums: FloatArray) -> None:
    """Draw the panel of a mode from its `slice_sums`, (4, I_n)."""
    known = np.flatnonzero(sums[3])
    names = label_texts(result.labels.values(mode, result.shape[mode]))
    observed, expected = sums[0, known] / sums[3, known], sums[1, known] / sums[3, known]
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.nan_to_num(np.abs(sums[0] - sums[1])[known] / np.sqrt(sums[2, known]))
    low, high = float(min(observed.min(), expected.min())), float(max(observed.max(), expected.max()))
    if low >= 0 and high > 30 * max(float(np.median(observed)), 1e-300):
        least = min(float(a[a > 0].min(initial=high)) for a in (observed, expected))
        ax.set_xscale("symlog", linthresh=least)
        ax.set_yscale("symlog", linthresh=least)
    ax.plot([low, high], [low, high], color=GREY, lw=0.8, zorder=1)
    size = 3.5 if len(names) <= 200 else 2
    ax.plot(expected, observed, "o", ms=size, alpha=0.8, color=COLORS[0], mew=0, zorder=2)
    far = [int(k) for k in np.argsort(-away, kind="stable")[:_NAMED] if away[k] > _FAR]
    name = result.labels.names[mode]
    words = (
        f"{name}: {len(known)} positions, means observed from {observed.min():.3g} to {observed.max():.3g}, "
    )
    words += f"expected from {expected.min():.3g} to {expected.max():.3g}; "
    shown = ", ".join(f"{names[known[k]]} ({observed[k]:.3g} for {expected[k]:.3g})" for k in far)
    words += f"more than three standard errors off: {shown or 'none'}."
    name_points(ax, expected, observed, far, [names[known[k]] for k in far])
    unit = f" ({plain(result.labels.data_units)})" if result.labels.data_units else ""
    labelled(ax, f"expected mean{unit}", f"observed mean{unit}", plain(name), words)
