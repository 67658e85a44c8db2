"""A picture of all components of a model: a row per component, a column per mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gcp.analysis.bootstrap import Bootstrap
from gcp.analysis.compare import align, factor_match_score
from gcp.analysis.plots.axis import ModeAxis
from gcp.analysis.plots.component_grid import (
    amount,
    draw_entries,
    draw_errors,
    draw_faint,
    grid_axes,
    grid_size,
    label_row,
    name_largest,
    set_scale,
)
from gcp.analysis.plots.error_bars import ModelIntervals, intervals_of
from gcp.analysis.plots.fonts import show_scripts
from gcp.analysis.plots.frame import figure_or_new, file_figure
from gcp.analysis.plots.groups import PositionGroups, groups_of, kinds_of, modes_of
from gcp.analysis.plots.palette import TEXT_SIZE, color
from gcp.analysis.standard_error_table import StandardErrors
from gcp.base import alignment
from gcp.base.checks import instance, items, show
from gcp.base.errors import ParameterError
from gcp.base.types import FloatArray
from gcp.objectives.known_cells import check_result, side_of
from gcp.result import FitResult

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NARROW = 3.9
"""Inches of a picture for a narrow screen."""
_Place = Literal["outside lower center", "outside lower left", "outside lower right"]
_PLACES: dict[int, tuple[_Place, ...]] = {
    0: (),
    1: ("outside lower center",),
    2: ("outside lower left", "outside lower right"),
    3: ("outside lower left", "outside lower center", "outside lower right"),
}
"""Places of so many legends, in the order of the modes."""


def plot_components(
    result: FitResult,
    *,
    figure: Figure | None = None,
    components: Iterable[int] | None = None,
    modes: Sequence[int | str] | None = None,
    kinds: Mapping[int | str, str] | None = None,
    hue: Mapping[int | str, Any] | None = None,
    errors: StandardErrors | Bootstrap | None = None,
    level: float = 0.95,
    overlay: Sequence[FitResult] = (),
) -> Any:
    """Draw the components of a model: one row each, one column per mode.

    Coordinates in order (numbers, dates) are lines, named categories and positions without coordinates bars. Of more
    than 40 categories only the largest of each component are named. All rows of a column share one vertical scale, in
    which each column of a factor has norm 1; the weight of a component stands at its left. Components are counted
    from 0. Positions of which nothing is known are left blank.

    Parameters
    ----------
    result : FitResult
    figure : matplotlib Figure or SubFigure, optional
        Where to draw; it keeps its size. None makes a new one of pyplot's that is large enough.
    components : iterable of int, optional
        Which components, counted from 0, in this order. None is all, as the result has them: heaviest first.
    modes : sequence of int or str, optional
        Which modes, by number or name, in this order. None is all.
    kinds : dict of mode to {"bar", "dot", "line"}, optional
        How entries are drawn, where not as said above: ``kinds={"neuron": "bar", "trial": "dot"}``.
    hue : dict of mode to array_like of labels, shape (I_n,), optional
        Groups of positions, at most 7 in each of 3 modes, told apart by colour: ``hue={"trial": conditions}``. Those
        of a pandas Series or an xarray DataArray are matched with the mode's labels by name.
    errors : StandardErrors or Bootstrap, optional
        Of `gcp.analysis.standard_errors` or `gcp.analysis.bootstrap` of this result; draws their intervals, which lie
        about estimates without bias, not about the fitted ones.
    level : float
        Of these intervals.
    overlay : sequence of FitResult
        Models of the same data, such as those of other starts: their components are matched to those of the result
        and drawn behind them, thin and grey.

    Returns
    -------
    ndarray of matplotlib.axes.Axes, shape (components, modes)
        ``axes[0, 0].figure`` is the figure.

    Raises
    ------
    ParameterError
        No such component, mode or kind, none at all (rank 0), errors or models of another shape, or matplotlib is
        not installed.

    Examples
    --------
    >>> import gcp
    >>> result = gcp.fit_gcp(gcp.datasets.load_titanic(), 2, loss="poisson", random_state=0)
    >>> gcp.plots.plot_components(result).shape
    (2, 4)
    """
    rows = chosen_components(result, components)
    kind, groups = kinds_of(kinds, result.labels), groups_of(hue, result.labels, result.shape)
    intervals = None if errors is None else intervals_of(errors, result, level)
    others = [_in_order(other, result) for other in items("overlay", overlay, "a list of FitResults")]
    columns = {
        n: ModeAxis.of(result.labels, n, result.shape[n], kind.get(n)) for n in modes_of(modes, result.labels)
    }
    figure = figure_or_new(figure, grid_size(list(columns.values()), len(rows)))
    return _draw(figure, result, rows, columns, groups, intervals, others)


def components_figure(
    result: FitResult,
    components: Iterable[int] | None = None,
    kinds: Mapping[int | str, str] | None = None,
) -> Figure:
    """Return a figure for a file or a page, with the picture of `plot_components`."""
    rows, kind = chosen_components(result, components), kinds_of(kinds, result.labels)
    columns = {n: ModeAxis.of(result.labels, n, size, kind.get(n)) for n, size in enumerate(result.shape)}
    figure = file_figure(grid_size(list(columns.values()), len(rows)))
    _draw(figure, result, rows, columns)
    return figure


def narrow_components_figure(result: FitResult, components: Iterable[int] | None = None) -> Figure:
    """Return the same for a narrow screen: the modes stand below each other."""
    rows = chosen_components(result, components)
    columns = [
        ModeAxis.of(result.labels, n, size, widest=_NARROW - 1.5) for n, size in enumerate(result.shape)
    ]
    heights = [grid_size([column], len(rows))[1] for column in columns]
    figure = file_figure((_NARROW, sum(heights)))
    parts = np.ravel(figure.subfigures(len(columns), 1, height_ratios=heights))  # type: ignore[arg-type]
    for n, (part, column) in enumerate(zip(parts, columns, strict=True)):
        _draw(part, result, rows, {n: column})
    return figure


def _draw(
    figure: Figure,
    result: FitResult,
    rows: list[int],
    columns: dict[int, ModeAxis],
    groups: Mapping[int, PositionGroups] = MappingProxyType({}),
    intervals: ModelIntervals | None = None,
    others: Sequence[list[FloatArray]] = (),
) -> Any:
    """Draw components (rows) by mode (columns); return the axes."""
    axes = grid_axes(figure, list(columns.values()), len(rows))
    for j, (n, column) in enumerate(columns.items()):
        factor = result.marked(result.labels.names[n], result.factors[n])[:, rows]
        ends = [] if intervals is None else [end[:, rows] for end in intervals.factors[n]]
        faint = [other[n][:, rows] for other in others]
        set_scale(axes[-1, j], column, factor, [*faint, *ends])
        for row, k in enumerate(rows):
            ax, own = axes[row, j], groups[n].colors if n in groups else color(k)
            draw_entries(ax, column, factor[:, row], own)
            for other in faint:
                draw_faint(ax, column, other[:, row])
            if ends:
                draw_errors(ax, column, ends[0][:, row], ends[1][:, row], own)
            if column.is_crowded:
                name_largest(ax, column, factor[:, row])
            ax.set_label(f"component {k}, {result.labels.names[n]}")
    for row, k in enumerate(rows):
        label_row(axes[row, 0], _row_label(k, float(result.weights[k]), intervals))
    _legends(figure, {n: groups[n] for n in columns if n in groups}, result)
    show_scripts(figure)
    return axes


def chosen_components(result: FitResult, components: Iterable[int] | None) -> list[int]:
    """Return component numbers, checked."""
    check_result(result)
    if result.rank == 0:
        raise ParameterError("There are no components to draw: the model has main effects alone (rank 0).")
    if components is None:
        return list(range(result.rank))
    chosen = items("components", components, "a list of numbers")
    if not chosen:
        raise ParameterError("components is empty: name at least one.")
    for k in chosen:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k < result.rank:
            raise ParameterError(
                f"components: there is no component {show(k)}; they count from 0 to {result.rank - 1}."
            )
    return chosen


def _in_order(other: Any, result: FitResult) -> list[FloatArray]:
    """Return factors (I_n, R) of another model, its columns those of the result's partners; NaN without one."""
    instance("overlay", other, FitResult, "a list of FitResults")
    there, here = side_of(other, "a model of overlay"), side_of(result)
    other = alignment.align(there, here, error=ParameterError).of_model(other)
    match = factor_match_score(other, result, weights=False)
    partners = align(other, result).factors
    found = [np.full(a.shape, np.nan) for a in result.factors]
    for own, a in zip(found, partners, strict=True):
        own[:, match.second] = a[:, : len(match.second)]
    return found


def _row_label(number: int, weight: float, intervals: ModelIntervals | None) -> str:
    label = f"component {number}\nweight {amount(weight)}"
    if intervals is not None:
        low, high = (float(ends[number]) for ends in intervals.weights)
        label += f"\n({amount(low)} to {amount(high)})" if np.isfinite([low, high]).all() else ""
    return label


def _legends(figure: Figure, groups: dict[int, PositionGroups], result: FitResult) -> None:
    """Write below the picture which colours are which groups."""
    from matplotlib.lines import Line2D

    for place, n in zip(_PLACES[len(groups)], groups, strict=True):
        handles = [
            Line2D([], [], ls="", marker="s", ms=4, color=color(code), label=name)
            for code, name in enumerate(groups[n].names)
        ]
        figure.legend(
            handles=handles,
            title=result.labels.names[n],
            title_fontsize=TEXT_SIZE,
            fontsize=TEXT_SIZE,
            frameon=False,
            loc=place,
            ncols=min(len(handles), 4),
        )
