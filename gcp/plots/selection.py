"""The picture of a choice of rank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcp.plots.axis import COLORS, TEXT_SIZE
from gcp.plots.frame import axes_or_new, labelled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from gcp.selection.choice import RankChoice


def plot_choice(choice: RankChoice, ax: Axes | None = None) -> Axes:
    """Held-out loss against rank; see `RankChoice.plot`."""
    ax = axes_or_new(ax)
    penalties = sorted({row.strengths for row in choice.table if row.rank})
    for k, strengths in enumerate(penalties):
        # Rank 0 has no components to penalise: one for all, or one for each ridge on the main effects.
        zeros = [row for row in choice.table if row.rank == 0]
        zeros = [row for row in zeros if len(zeros) == 1 or row.l2_reg == strengths.l2_reg]
        rows = zeros + [row for row in choice.table if row.rank and row.strengths == strengths]
        shift = 0.06 * (k - (len(penalties) - 1) / 2)
        ax.errorbar(
            [row.rank + shift for row in rows],
            [row.loss for row in rows],
            [row.standard_error for row in rows],
            fmt="o-",
            ms=3.5,
            lw=1.1,
            color=COLORS[k % len(COLORS)],
            label=str(strengths),
        )
    loss = choice.chosen.loss
    ax.plot([choice.rank], [loss], "o", ms=11, mfc="none", mec="0.2", mew=1.2, label="chosen")
    ax.set_xticks(sorted({row.rank for row in choice.table}))
    ax.legend(fontsize=TEXT_SIZE, frameon=False)
    return labelled(ax, "rank", "held-out loss", "Rank")
