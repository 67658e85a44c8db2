"""Pictures that judge a model: calibration, residuals, ROC, slices, starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.analysis.binary import binary_scores
from gcp.analysis.calibration import calibration
from gcp.analysis.deviance import slice_deviance
from gcp.analysis.plots.axis import COLORS, MANY, TEXT_SIZE, ModeAxis
from gcp.analysis.plots.frame import axes_or_new, labelled
from gcp.analysis.residuals import residuals
from gcp.analysis.stability import StartStability
from gcp.base.checks import instance
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _RED, _GREY = *COLORS[:2], "0.55"
_MOST_POINTS = 2000


def plot_calibration(result: FitResult, data: Any, groups: int = 10, *, ax: Axes | None = None) -> Axes:
    """Draw observed means against expected ones, with two standard errors.

    A calibrated model lies on the line.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Best held-out data, such as the test part of `gcp.hold_out`.
    groups : int
        See `gcp.analysis.calibration`.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    found = calibration(result, data, groups)
    ax = axes_or_new(ax)
    low = float(min(found.expected.min(), found.observed.min()))
    high = float(max(found.expected.max(), found.observed.max()))
    if low > 0 and high > 30 * low:
        ax.set_xscale("log")
        ax.set_yscale("log")
    ax.plot([low, high], [low, high], color=_GREY, lw=0.8, zorder=1)
    ax.errorbar(
        found.expected, found.observed, 2 * found.standard_error, fmt="o", ms=4, lw=1, color=_BLUE, zorder=2
    )
    return labelled(ax, "expected", "observed", "Calibration")


def plot_residuals(result: FitResult, data: Any, *, random_state: int = 0, ax: Axes | None = None) -> Axes:
    """Draw quantiles of the quantile residuals against normal ones; those of a right model lie on the line.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Of a `SparseTensor` the listed entries alone, which are no random part of its cells.
    random_state : int
        Draws the randomised ones.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    from scipy.special import ndtri

    found = residuals(result, data, random_state=random_state).ravel()
    found = np.sort(found[np.isfinite(found)])
    n = len(found)
    at = np.arange(n)
    if n > _MOST_POINTS:  # all of the tails, some of the middle
        tail = _MOST_POINTS // 4
        middle = np.linspace(tail, n - tail - 1, _MOST_POINTS // 2).astype(int)
        at = np.unique(np.concatenate([at[:tail], middle, at[-tail:]]))
    normal = ndtri((at + 0.5) / n)
    ax = axes_or_new(ax)
    ends = normal[[0, -1]]
    ax.plot(ends, ends, color=_GREY, lw=0.8, zorder=1)
    ax.plot(normal, found[at], ".", ms=3, color=_BLUE, zorder=2)
    return labelled(ax, "normal quantile", "residual", "Quantile residuals")


def plot_roc(result: FitResult, data: Any, *, ax: Axes | None = None) -> Axes:
    """Draw the ROC curve of a model of 0/1 data.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
        Best held-out data, such as the test part of `gcp.hold_out`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    found = binary_scores(result, data)
    ax = axes_or_new(ax)
    ax.plot([0, 1], [0, 1], color=_GREY, lw=0.8, zorder=1)
    ax.plot(found.false_positive_rate, found.true_positive_rate, color=_BLUE, lw=1.4, zorder=2)
    ax.set_aspect("equal")
    text = f"AUC {found.auc:.3f}\naverage precision {found.average_precision:.3f}"
    text += f"\nshare of ones {found.base_rate:.3g}"
    ax.text(0.97, 0.05, text, ha="right", va="bottom", fontsize=TEXT_SIZE + 1, transform=ax.transAxes)
    return labelled(ax, "false positive rate", "true positive rate", "ROC")


def plot_slices(result: FitResult, data: Any, mode: int | str, *, ax: Axes | None = None) -> Axes:
    """Draw the mean deviance of every position of a mode, beside that of the best constant.

    Parameters
    ----------
    result : FitResult
    data : as for `fit_gcp`
    mode : int or str
        Number or name.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    found, n = slice_deviance(result, data, mode), result.labels.number(mode)
    axis = ModeAxis.of(result.labels, n, result.shape[n])
    ax = axes_or_new(ax, max(4.0, min(axis.width + 1.5, 10.0)))
    with np.errstate(invalid="ignore"):
        model, null = found.deviance / found.weight, found.null_deviance / found.weight
    if axis.names is None:
        ax.plot(axis.positions, null, color=_GREY, lw=1, label="best constant")
        ax.plot(axis.positions, model, color=_BLUE, lw=1.4, label="model")
    elif axis.size <= MANY:
        ax.bar(axis.positions, null, color="0.85", label="best constant")
        ax.bar(axis.positions, model, width=0.5, color=_BLUE, label="model")
        ax.set_xticks(axis.positions, axis.names, rotation=90 if axis.is_upright else 0)
    else:
        order = np.argsort(-np.nan_to_num(model))
        ax.plot(np.arange(axis.size), null[order], ".", ms=2, color=_GREY, label="best constant")
        ax.plot(np.arange(axis.size), model[order], color=_BLUE, lw=1.4, label="model")
        worst = ", ".join(axis.names[k] for k in order[:5])
        ax.text(
            0.98, 0.8, f"worst: {worst}", ha="right", va="top", fontsize=TEXT_SIZE, transform=ax.transAxes
        )
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=TEXT_SIZE, frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    crowded = axis.names is not None and axis.size > MANY
    return labelled(ax, f"{axis.name}, the worst first" if crowded else axis.name, "mean deviance", "")


def plot_starts(found: StartStability, *, ax: Axes | None = None) -> Axes:
    """Draw the similarity of all starts' models to the best one, against how much worse their objective is.

    Parameters
    ----------
    found : StartStability
        Of `gcp.analysis.start_stability`.
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    instance("found", found, StartStability, "the StartStability of gcp.analysis.start_stability")
    best = found.results[0]
    worse = (found.objectives - best.objective) / max(abs(best.null_objective - best.objective), 1e-300)
    ax = axes_or_new(ax)
    ax.plot(100 * worse[1:], found.scores[0, 1:], "o", ms=4, color=_BLUE, zorder=2)
    ax.plot([0], [1], "*", ms=9, color=_RED, zorder=3, label="best start")
    ax.set_ylim(min(0.0, float(found.scores.min())), 1.05)
    ax.legend(fontsize=TEXT_SIZE, frameon=False, loc="lower left")
    return labelled(ax, "objective above the best, % of explained", "factor match score", "Starts")
