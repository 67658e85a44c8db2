"""Pictures of starts: how each went, and how like each other their models are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.plots.axis import COLORS, TEXT_SIZE
from gcp.analysis.plots.frame import axes_or_new, labelled
from gcp.analysis.stability import StartStability
from gcp.base.checks import instance
from gcp.objectives.known_cells import check_result
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_convergence(result: FitResult, *, ax: Axes | None = None) -> Axes:
    """Draw how far the objective of every start is above the lowest, as time goes by.

    Parameters
    ----------
    result : FitResult
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    Notes
    -----
    In shares of what the model explains: 1 is the best constant. A start that ends on a level of its own has found
    another minimum, or has not converged. Where a parameter of the loss was estimated, the start that is kept alone:
    the others ended under another value of it, and with another objective.
    """
    check_result(result)
    ax = axes_or_new(ax)
    best_start = next(start for start in result.starts if start["objective"] == result.objective)
    starts = [best_start] if result.problem.estimated else result.starts
    best = best_start["objective"]
    explained = max(abs(result.null_objective - best), 1e-300)
    floor = 1e-7
    for start in sorted(starts, key=lambda start: -start["objective"]):
        is_best = start is best_start
        trace = result.trace if is_best else start.get("trace")
        if trace is None:  # files of older versions have the kept start's alone
            continue
        above = (np.asarray(trace["objective"], dtype=float) - best) / explained
        ax.plot(
            trace["seconds"],
            np.maximum(above, floor),
            color=COLORS[0] if is_best else "0.65",
            lw=1.6 if is_best else 0.9,
            zorder=3 if is_best else 2,
        )
        ax.plot(
            trace["seconds"][-1:],
            np.maximum(above[-1:], floor),
            "o" if start["converged"] else "x",
            ms=4,
            color=COLORS[0] if is_best else "0.45",
            zorder=4,
        )
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor / 2)
    for outcome, marker, label in ((True, "o", "converged"), (False, "x", "stopped early")):
        if any(start["converged"] == outcome for start in starts):
            ax.plot([], [], marker, ms=4, color="0.45", label=label)
    ax.legend(fontsize=TEXT_SIZE, frameon=False)
    n = len(starts)
    return labelled(
        ax, "seconds", "objective above the lowest", f"Convergence of {n} starts" if n > 1 else "Convergence"
    )


def plot_similarity(found: StartStability, *, ax: Axes | None = None) -> Axes:
    """Draw factor match scores of the models of all pairs of starts, the best start first.

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
    ax = axes_or_new(ax)
    image = ax.imshow(found.scores, vmin=0, vmax=1, cmap="cividis")
    n = len(found.scores)
    if n <= 10:
        for i, j in np.ndindex(n, n):
            score = float(found.scores[i, j])
            text_color = "white" if score < 0.6 else "black"
            ax.text(j, i, f"{score:.2f}", ha="center", va="center", fontsize=TEXT_SIZE - 1, color=text_color)
        ax.set_xticks(range(n))
        ax.set_yticks(range(n))
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8)
    bar.ax.tick_params(labelsize=TEXT_SIZE)
    return labelled(ax, "start, the best first", "start", "Factor match scores")
