"""Pictures that judge a model: calibration, residuals, ROC, slices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from gcp.analysis.binary import binary_scores
from gcp.analysis.calibration import calibration
from gcp.analysis.deviance import slice_deviance
from gcp.analysis.plots.axis import ModeAxis, plain
from gcp.analysis.plots.frame import SMALL, axes_or_new, labelled, legend_above
from gcp.analysis.plots.palette import COLORS, GREY, TEXT_SIZE
from gcp.analysis.residuals import residuals
from gcp.base.label_text import label_texts, shortened
from gcp.result import FitResult
from gcp.tensors.intake.carried import Carried

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE = COLORS[0]
_MOST_POINTS = 2000
_MOST_BARS = 200


def plot_calibration(
    result: FitResult, data: Any, groups: int = 10, *, ax: Axes | None = None, **carried: Unpack[Carried]
) -> Axes:
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
    **carried
        ``exposure``, ``offset`` and ``trials``, as for `fit_gcp`; the model of a fit that had some needs them.

    Returns
    -------
    matplotlib.axes.Axes
    """
    found = calibration(result, data, groups, **carried)
    ax = axes_or_new(ax)
    low = float(min(found.expected.min(), found.observed.min()))
    high = float(max(found.expected.max(), found.observed.max()))
    if low > 0 and high > 30 * low:
        ax.set_xscale("log")
        ax.set_yscale("log")
    ax.plot([low, high], [low, high], color=GREY, lw=0.8, zorder=1)
    ax.errorbar(
        found.expected, found.observed, 2 * found.standard_error, fmt="o", ms=4, lw=1, color=_BLUE, zorder=2
    )
    off = np.abs(found.observed - found.expected) / np.maximum(found.standard_error, 1e-300)
    words = (
        f"Calibration: {len(found.expected)} groups of cells expected from {found.expected.min():.3g} to "
        f"{found.expected.max():.3g}, observed from {found.observed.min():.3g} to {found.observed.max():.3g}; "
        f"{int(np.count_nonzero(off > 2))} of them off the line by more than two standard errors."
    )
    return labelled(ax, "expected", "observed", "Calibration", words)


def plot_residuals(
    result: FitResult, data: Any, *, random_state: int = 0, ax: Axes | None = None, **carried: Unpack[Carried]
) -> Axes:
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

    found = residuals(result, data, random_state=random_state, **carried).ravel()
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
    ax.plot(ends, ends, color=GREY, lw=0.8, zorder=1)
    ax.plot(normal, found[at], ".", ms=3, color=_BLUE, zorder=2)
    words = (
        f"Quantile residuals of {n:,} data: from {found[0]:.2f} to {found[-1]:.2f}, where normal ones would be from "
        f"{ends[0]:.2f} to {ends[1]:.2f}; their standard deviation is {found.std():.2f}; that of a right model is 1."
    )
    return labelled(ax, "normal quantile", "residual", "Quantile residuals", words)


def plot_roc(result: FitResult, data: Any, *, ax: Axes | None = None, **carried: Unpack[Carried]) -> Axes:
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
    found = binary_scores(result, data, **carried)
    ax = axes_or_new(ax)
    ax.plot([0, 1], [0, 1], color=GREY, lw=0.8, zorder=1)
    ax.plot(found.false_positive_rate, found.true_positive_rate, color=_BLUE, lw=1.4, zorder=2)
    ax.set_aspect("equal")
    text = f"AUC {found.auc:.3f}\naverage precision {found.average_precision:.3f}"
    text += f"\nshare of ones {found.base_rate:.3g}"
    ax.text(0.97, 0.05, text, ha="right", va="bottom", fontsize=TEXT_SIZE + 1, transform=ax.transAxes)
    return labelled(
        ax, "false positive rate", "true positive rate", "ROC", f"ROC: {', '.join(text.splitlines())}."
    )


def plot_slices(
    result: FitResult, data: Any, mode: int | str, *, ax: Axes | None = None, **carried: Unpack[Carried]
) -> Axes:
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
    found, n = slice_deviance(result, data, mode, **carried), result.labels.number(mode)
    axis = ModeAxis.of(result.labels, n, result.shape[n])
    ax = axes_or_new(ax, (max(SMALL[0], min(axis.width + 1.5, 10.0)), SMALL[1]))
    with np.errstate(invalid="ignore"):
        model, null = found.deviance / found.weight, found.null_deviance / found.weight
    order, name = np.argsort(-np.nan_to_num(model), kind="stable"), axis.name
    labels = label_texts(result.labels.values(n, result.shape[n]))
    worst = [labels[k] for k in order[:5]]
    is_many = axis.is_crowded or (axis.kind != "line" and axis.size > _MOST_BARS)
    if is_many:
        ax.plot(np.arange(axis.size), null[order], ".", ms=2, color=GREY, label="best constant")
        ax.plot(np.arange(axis.size), model[order], color=_BLUE, lw=1.4, label="model")
        text = "worst: " + "\n".join(shortened([plain(name) for name in worst]))
        ax.text(0.98, 0.97, text, ha="right", va="top", fontsize=TEXT_SIZE, transform=ax.transAxes)
        name = f"{axis.name}, the worst first"
    elif axis.kind == "line":
        ax.plot(axis.places, null, color=GREY, lw=1, label="best constant")
        ax.plot(axis.places, model, color=_BLUE, lw=1.4, label="model")
    else:
        ax.bar(axis.places, null, width=0.8 * axis.step, color="0.8", label="best constant")
        ax.bar(axis.places, model, width=0.5 * axis.step, color=_BLUE, label="model")
    ax.set_ylim(bottom=0)
    legend_above(ax)
    words = (
        f"Mean deviance of the {axis.size} positions of {result.labels.names[n]}: {np.nanmin(model):.3g} to "
        f"{np.nanmax(model):.3g}, under the best constant {np.nanmin(null):.3g} to {np.nanmax(null):.3g}; worst: "
        f"{', '.join(worst)}."
    )
    if not is_many:
        axis.label_ticks(ax)
    return labelled(ax, name, "mean deviance", "", words)
