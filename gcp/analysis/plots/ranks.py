"""Fits of several ranks from several starts: how good they are, and how like each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from gcp.analysis.plots.frame import axes_or_new, labelled
from gcp.analysis.plots.palette import COLORS
from gcp.analysis.stability import StartStability
from gcp.base.checks import instance, items
from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_objective_by_rank(found: Sequence[StartStability], *, ax: Axes | None = None) -> Axes:
    """Draw the share of the deviance that every start of every rank leaves unexplained, with a line along the best.

    Parameters
    ----------
    found : sequence of StartStability
        One for each rank: ``[gcp.analysis.start_stability(data, rank) for rank in range(1, 7)]``.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    References
    ----------
    A. H. Williams et al.: Unsupervised discovery of demixed, low-dimensional neural dynamics across multiple
    timescales through tensor component analysis, Neuron 98 (2018) 1099-1115; `plot_objective` of tensortools.
    """
    by_rank = _by_rank(found)
    shares = {
        rank: 1 - np.array([result.training_deviance_explained for result in own.results])
        for rank, own in by_rank.items()
    }
    words = "; ".join(f"rank {rank}: {s.min():.1%} to {s.max():.1%}" for rank, s in shares.items())
    ax = _draw(ax, shares, {rank: float(s[0]) for rank, s in shares.items()})
    ax.set_ylim(bottom=0)
    return labelled(
        ax, "rank", "deviance left unexplained", "Objective by rank", f"Left unexplained by starts, {words}."
    )


def plot_similarity_by_rank(found: Sequence[StartStability], *, ax: Axes | None = None) -> Axes:
    """Draw the factor match scores of all starts with the best one of their rank, with a line along their means.

    Parameters
    ----------
    found : sequence of StartStability
        As for `plot_objective_by_rank`.
    ax : matplotlib Axes, optional
        None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes

    References
    ----------
    A. H. Williams et al.: Unsupervised discovery of demixed, low-dimensional neural dynamics across multiple
    timescales through tensor component analysis, Neuron 98 (2018) 1099-1115; `plot_similarity` of tensortools.
    """
    scores = {rank: own.scores[0, 1:] for rank, own in _by_rank(found).items()}
    words = "; ".join(f"rank {rank}: {s.min():.2f} to {s.max():.2f}" for rank, s in scores.items())
    ax = _draw(ax, scores, {rank: float(s.mean()) for rank, s in scores.items()})
    ax.set_ylim(0, 1.05)
    return labelled(
        ax, "rank", "factor match score", "Similarity by rank", f"Similarity to the best start, {words}."
    )


def _by_rank(found: Sequence[StartStability]) -> dict[int, StartStability]:
    """Return the starts by rising rank, checked."""
    given = items("found", found, "a list of what gcp.analysis.start_stability returns, one for each rank")
    if not given:
        raise ParameterError("found is empty: give the StartStability of one rank at least.")
    for own in given:
        instance("found", own, StartStability, "a list of what gcp.analysis.start_stability returns")
    by_rank = {own.results[0].rank: own for own in given}
    if len(by_rank) != len(given):
        raise ParameterError(
            f"found must have one StartStability for each rank: found ranks {[own.results[0].rank for own in given]}."
        )
    return dict(sorted(by_rank.items()))


def _draw(ax: Axes | None, points: dict[int, FloatArray], line: dict[int, float]) -> Axes:
    """Draw points at each rank, and a line."""
    ax = axes_or_new(ax)
    ranks = [rank for rank, values in points.items() for _ in values]
    ax.plot(ranks, np.concatenate(list(points.values())), "o", ms=3.5, alpha=0.5, mew=0, color=COLORS[0])
    ax.plot(list(line), list(line.values()), color=COLORS[1], lw=1.2, zorder=1)
    if len(line) <= 12:
        ax.set_xticks(list(line))
    return ax
