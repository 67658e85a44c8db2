"""Two models side by side: components that are partners, in one row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gcp.analysis.compare import align, factor_match_score
from gcp.analysis.plots.axis import ModeAxis, plain
from gcp.analysis.plots.component_grid import (
    amount,
    draw_entries,
    grid_axes,
    grid_size,
    label_row,
    name_largest,
    set_scale,
)
from gcp.analysis.plots.fonts import show_scripts
from gcp.analysis.plots.frame import figure_or_new
from gcp.analysis.plots.palette import COLORS, TEXT_SIZE
from gcp.base import alignment
from gcp.base.checks import items, text
from gcp.base.errors import ParameterError
from gcp.objectives.known_cells import side_of
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_comparison(
    first: FitResult,
    second: FitResult,
    *,
    names: tuple[str, str] = ("first", "second"),
    figure: Figure | None = None,
) -> Any:
    """Draw two models of the same data side by side: a row for each pair of partners, a column per mode.

    Components are matched as `gcp.analysis.factor_match_score` does, without weights; at the left of a row stand
    their numbers, counted from 0, their weights and their similarity, 1 for the same. Components without a partner
    are not drawn.

    Parameters
    ----------
    first, second : FitResult
        Of one shape, with components; modes and positions that both name are matched by name.
    names : (str, str)
        For the legend, such as ``("poisson", "negative binomial")``.
    figure : matplotlib Figure or SubFigure, optional
        None makes a new one of pyplot's.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (pairs, modes)

    Raises
    ------
    ParameterError
        Models of other shapes or labels, or without components.
    """
    here, there = side_of(first, "the first model"), side_of(second, "the second model")
    titles = [plain(text("names", name)) for name in items("names", names, "two texts")]
    if len(titles) != 2:
        raise ParameterError(f"names must be two texts: found {len(titles)}.")
    if 0 in (first.rank, second.rank):
        raise ParameterError("There are no components to compare: a model has main effects alone (rank 0).")
    second = alignment.align(there, here, error=ParameterError).of_model(second)
    match = factor_match_score(second, first, weights=False)  # in the order of the first model
    partners = align(second, first)
    columns = [ModeAxis.of(first.labels, n, size) for n, size in enumerate(first.shape)]
    n_rows = len(match.similarities)
    figure = figure_or_new(figure, grid_size(columns, n_rows))
    axes = grid_axes(figure, columns, n_rows)
    for n, column in enumerate(columns):
        name = first.labels.names[n]
        own = first.marked(name, first.factors[n])[:, match.second]
        other = second.marked(name, partners.factors[n])[:, :n_rows]
        set_scale(axes[-1, n], column, own, [other])
        for row in range(n_rows):
            for k, factor in enumerate((own, other)):
                draw_entries(axes[row, n], column, factor[:, row], COLORS[k], part=(k, 2), label=titles[k])
            if column.is_crowded:
                name_largest(axes[row, n], column, own[:, row])
    for row, (k, j) in enumerate(zip(match.second, match.first, strict=True)):
        weights = f"{amount(float(first.weights[k]))} and {amount(float(second.weights[j]))}"
        score = f"similarity {match.similarities[row]:.3f}"
        label_row(axes[row, 0], f"components {k} and {j}\nweights {weights}\n{score}")
        axes[row, 0].set_label(f"components {k} and {j}: weights {weights}, {score}.")
    handles, _ = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles[:2], titles, fontsize=TEXT_SIZE, frameon=False, loc="outside lower center", ncols=2)
    show_scripts(figure)
    return axes
