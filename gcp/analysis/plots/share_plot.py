"""What each component explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.plots.frame import axes_or_new, labelled, legend_above
from gcp.analysis.plots.palette import COLORS, GREY
from gcp.analysis.shares import ComponentShares
from gcp.base.checks import instance

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_shares(found: ComponentShares, *, ax: Axes | None = None) -> Axes:
    """Draw what each component explains alone, what it alone explains, and what all explain together.

    Parameters
    ----------
    found : ComponentShares
        Of `gcp.analysis.component_shares`, which says how they are defined.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
    """
    instance("found", found, ComponentShares, "the ComponentShares of gcp.analysis.component_shares")
    ax = axes_or_new(ax)
    from matplotlib.ticker import PercentFormatter

    numbers = np.arange(len(found.alone))
    bars = ((-0.2, found.alone, COLORS[4], "alone"), (0.2, found.unique, COLORS[0], "lost without it"))
    for shift, values, color, label in bars:
        ax.bar(numbers + shift, values, width=0.4, color=color, lw=0, label=label)
    ax.axhline(found.explained, color=GREY, lw=1, ls="--", label="all together")
    ax.axhline(0, color="0.5", lw=0.6)
    ax.set_xticks(numbers[:: 1 + len(numbers) // 13])
    ax.set_xlim(-0.6, len(numbers) - 0.4)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    legend_above(ax)
    parts = "; ".join(
        f"component {k}: {a:.1%} alone, {u:.1%} lost without it"
        for k, (a, u) in enumerate(zip(found.alone, found.unique, strict=True))
    )
    words = f"Share of the deviance explained: all {found.explained:.1%}; {parts}."
    return labelled(ax, "component", "share of the deviance", "", words)
