"""Pictures of starts: how each went, where it ended, and how like each other their models are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from gcp.analysis.plots.frame import SMALL, axes_or_new, labelled
from gcp.analysis.plots.palette import COLORS, GREY, TEXT_SIZE
from gcp.analysis.stability import StartStability
from gcp.base.checks import instance
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import check_result
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FLOOR = 1e-7
"""Shares of what the model explains that are drawn as none."""
_LEAST_PERCENT = 0.1
"""Percent that the axis of differences between starts shows at least: smaller ones are rounding."""


def plot_convergence(result: FitResult, *, ax: Axes | None = None) -> Axes:
    """Draw how far the objective of every start is above the lowest, iteration by iteration.

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
    the others ended under another value of it, and with another objective; so, too, of one of several coupled
    tensors, in shares of what the last round gained. Iterations, not seconds, for the first
    seconds may be those of the compiler.
    """
    check_result(result)
    ax = axes_or_new(ax)
    from matplotlib.ticker import MaxNLocator

    is_coupled = bool(result.problem.coupled_with)  # then starts and trace are of the sum of all tensors
    end = float(result.trace["objective"][-1]) if is_coupled else result.objective
    kept = min(result.starts, key=lambda start: abs(start["objective"] - end))
    starts = [kept] if result.problem.estimated or is_coupled else result.starts
    null = float(result.trace["objective"][0]) if is_coupled else result.null_objective
    explained = max(abs(null - kept["objective"]), 1e-300)
    for start in sorted(starts, key=lambda start: -start["objective"]):
        is_kept = start is kept
        trace = result.trace if is_kept else start.get("trace")
        if trace is None:  # files of older versions have the kept start's alone
            continue
        above = (np.asarray(trace["objective"], dtype=float) - kept["objective"]) / explained
        _draw_start(ax, start, np.maximum(above, _FLOOR), is_kept)
    ax.set_yscale("log")
    ax.set_ylim(bottom=_FLOOR / 2)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    for outcome, marker, label in ((True, "o", "converged"), (False, "x", "stopped early")):
        if any(start["converged"] == outcome for start in starts):
            ax.plot([], [], marker, ms=4, color="0.45", label=label)
    ax.legend(fontsize=TEXT_SIZE, frameon=False)
    title = f"Convergence of {len(starts)} starts" if len(starts) > 1 else "Convergence"
    return labelled(ax, "iteration", "objective above the lowest", title, _in_words(starts, kept, explained))


def _draw_start(ax: Axes, start: dict[str, Any], above: FloatArray, is_kept: bool) -> None:
    """Draw the course of a start, above (points,): at most 100 of its iterations, evenly spread."""
    iterations = np.linspace(0, start["n_iter"], len(above)).round()
    color, width = (COLORS[0], 1.6) if is_kept else ("0.65", 0.9)
    ax.plot(iterations, above, color=color, lw=width, zorder=3 if is_kept else 2)
    marker = "o" if start["converged"] else "x"
    ax.plot(iterations[-1:], above[-1:], marker, ms=4, color=COLORS[0] if is_kept else "0.45", zorder=4)


def _in_words(starts: list[dict[str, Any]], kept: dict[str, Any], explained: float) -> str:
    n_ended = sum(bool(start["converged"]) for start in starts)
    text = f"Convergence: {n_ended} of {len(starts)} starts converged; the one that is kept took {kept['n_iter']} "
    text += f"iterations to an objective of {kept['objective']:.6g}."
    others = [
        100 * (start["objective"] - kept["objective"]) / explained for start in starts if start is not kept
    ]
    if others:
        text += (
            f" The others end {min(others):.2g} to {max(others):.2g} percent of what it explains above it."
        )
    return text


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
    others = found.scores[0, 1:]
    words = f"Factor match scores of {n} starts: with the best one {others.min():.2f} to {others.max():.2f}."
    return labelled(ax, "start, the best first", "start", "Factor match scores", words)


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

    Notes
    -----
    Differences of less than 1e-5 percent of what the best start explains are rounding, and drawn as none.
    """
    instance("found", found, StartStability, "the StartStability of gcp.analysis.start_stability")
    best = found.results[0]
    worse = (found.objectives - best.objective) / max(abs(best.null_objective - best.objective), 1e-300)
    percent = 100 * np.where(worse < _FLOOR, 0.0, worse)
    ax = axes_or_new(ax, SMALL)
    ax.plot(percent[1:], found.scores[0, 1:], "o", ms=4, color=COLORS[0], zorder=2)
    ax.plot([0], [1], "*", ms=9, color=COLORS[1], zorder=3, label="best start")
    widest = max(float(percent.max()), _LEAST_PERCENT)
    ax.set_xlim(-0.05 * widest, 1.05 * widest)
    ax.set_ylim(min(0.0, float(found.scores.min())), 1.05)
    ax.axhline(1, color=GREY, lw=0.5, zorder=1)
    ax.legend(fontsize=TEXT_SIZE, frameon=False, loc="lower left")
    words = (
        f"{len(percent)} starts: objectives 0 to {percent.max():.2g} percent of the explained above the best, factor "
        f"match scores with it {found.scores[0, 1:].min():.2f} to {found.scores[0, 1:].max():.2f}."
    )
    return labelled(ax, "objective above the best, % of explained", "factor match score", "Starts", words)
