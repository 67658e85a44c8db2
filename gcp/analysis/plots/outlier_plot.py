"""Leverage against residual."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.outliers import Outliers
from gcp.analysis.plots.axis import plain
from gcp.analysis.plots.frame import axes_or_new, labelled, legend_above
from gcp.analysis.plots.naming import name_points
from gcp.analysis.plots.palette import COLORS, GREY
from gcp.base.checks import instance
from gcp.base.label_text import label_texts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMED = 6
_FAR = 3.0
_NORMAL = 1.4826
"""Standard deviations of a normal variable in medians of its distance to the median."""


def plot_outliers(found: Outliers, *, ax: Axes | None = None) -> Axes:
    """Draw the residual deviance of every position of a mode against its leverage, and name those that stand out.

    Parameters
    ----------
    found : Outliers
        Of `gcp.analysis.outliers`.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    The dotted line is twice the mean leverage, the rule of Hoaglin and Welsch (1978). Named are points beyond it, and
    those whose deviance is above the median by more than three standard deviations, told from the median of distances
    to the median.
    """
    instance("found", found, Outliers, "the Outliers of gcp.analysis.outliers")
    known = np.flatnonzero(np.isfinite(found.leverage) & np.isfinite(found.deviance))
    leverage, residual = found.leverage[known], found.deviance[known]
    names = [label_texts(found.labels)[k] for k in known]
    ax = axes_or_new(ax)
    size = 4 if len(known) <= 200 else 2
    ax.plot(leverage, residual, "o", ms=size, alpha=0.8, mew=0, color=COLORS[0], zorder=2)
    limit = 2 * found.rank / max(len(known), 1)
    if limit < 1:
        ax.axvline(limit, color=GREY, lw=0.8, ls=":", zorder=1, label="twice the mean leverage")
        legend_above(ax)
    ax.margins(0.06)
    ax.set_xlim(left=0)
    ax.set_ylim(bottom=0)
    middle = np.median(residual)
    spread = _NORMAL * float(np.median(np.abs(residual - middle)))
    away = np.maximum(leverage / limit, (residual - middle) / max(_FAR * spread, 1e-300))
    far = [int(k) for k in np.argsort(-away, kind="stable")[:_NAMED] if away[k] > 1]
    name_points(ax, leverage, residual, far, [names[k] for k in far])
    shown = ", ".join(f"{names[k]} (leverage {leverage[k]:.2g}, deviance {residual[k]:.3g})" for k in far)
    words = (
        f"{len(known)} positions of {found.mode}: leverages {leverage.min():.2g} to {leverage.max():.2g}, mean "
        f"deviances {residual.min():.3g} to {residual.max():.3g}; standing out: {shown or 'none'}."
    )
    x = f"leverage of {plain(found.mode)}"
    return labelled(ax, x, "mean residual deviance", "", words)
