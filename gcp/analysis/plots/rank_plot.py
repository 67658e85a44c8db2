"""The picture of a choice of rank."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gcp.analysis.plots.frame import axes_or_new, labelled
from gcp.analysis.plots.palette import TEXT_SIZE, color

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LossLine(NamedTuple):
    """The held-out losses of one penalty.

    Attributes
    ----------
    label : str
        Of the penalty.
    ranks : list of int
    losses, errors : list of float
        Held-out loss at each rank, and its standard error.
    """

    label: str
    ranks: list[int]
    losses: list[float]
    errors: list[float]


def plot_losses(lines: Sequence[LossLine], chosen: tuple[int, float], ax: Axes | None = None) -> Axes:
    """Draw held-out loss against rank, a line for each penalty, and mark the (rank, loss) that was chosen."""
    ax = axes_or_new(ax)
    n_beside = sum(line.ranks != [0] for line in lines)
    for k, line in enumerate(lines):
        shift = 0.06 * (k - (n_beside - 1) / 2) if line.ranks != [0] else 0.0
        ax.errorbar(
            [rank + shift for rank in line.ranks],
            line.losses,
            line.errors,
            fmt="o-",
            ms=3.5,
            lw=1.1,
            color=color(k),
            label=line.label,
        )
    ax.plot([chosen[0]], [chosen[1]], "o", ms=11, mfc="none", mec="0.2", mew=1.2, label="chosen")
    ax.set_xticks(sorted({rank for line in lines for rank in line.ranks} | {chosen[0]}))
    ax.legend(fontsize=TEXT_SIZE, frameon=False)
    words = f"Held-out loss by rank: rank {chosen[0]} is chosen, with {chosen[1]:.6g}."
    for line in lines:
        ends = ", ".join(f"{loss:.4g} at {rank}" for rank, loss in zip(line.ranks, line.losses, strict=True))
        words += f" {line.label}: {ends}."
    return labelled(ax, "rank", "held-out loss", "Rank", words)
