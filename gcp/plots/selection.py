"""The picture of a choice of rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcp.plots.axis import COLORS, TEXT_SIZE
from gcp.plots.judging import axes_or_new, labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gcp.selection.choice import RankChoice


def plot_choice(choice: RankChoice, ax: Axes | None = None) -> Axes:
    """Held-out loss against rank; see `RankChoice.plot`."""
    ax = axes_or_new(ax)
    ridges = sorted({row.l2_reg for row in choice.table if row.rank})
    for k, ridge in enumerate(ridges):
        rows = [row for row in choice.table if row.l2_reg == ridge or row.rank == 0]
        color = COLORS[k % len(COLORS)]
        shift = 0.06 * (k - (len(ridges) - 1) / 2)
        ax.errorbar(
            [row.rank + shift for row in rows],
            [row.loss for row in rows],
            [row.standard_error for row in rows],
            fmt="o-",
            ms=3.5,
            lw=1.1,
            color=color,
            label=f"l2_reg {ridge:g}",
        )
    loss = next(row.loss for row in choice.table if (row.rank, row.l2_reg) == (choice.rank, choice.l2_reg))
    ax.plot([choice.rank], [loss], "o", ms=11, mfc="none", mec="0.2", mew=1.2, label="chosen")
    ax.set_xticks(sorted({row.rank for row in choice.table}))
    ax.legend(fontsize=TEXT_SIZE, frameon=False)
    return labelled(ax, "rank", "held-out loss", "Rank")
