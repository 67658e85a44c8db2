"""Axes in one style."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gcp.analysis.plots.axis import TEXT_SIZE
from gcp.base.checks import instance
from gcp.base.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def axes_or_new(ax: Axes | None, width: float = 4.0) -> Axes:
    """Return the given axes, or those of a new figure."""
    if ax is None:
        return figure_or_new(None, (width, 3.6)).subplots()
    from matplotlib.axes import Axes

    return instance("ax", ax, Axes, "matplotlib Axes")


def figure_or_new(figure: Figure | None, size: tuple[float, float]) -> Figure:
    """Return the given figure, or a new one of a size in inches, without pyplot.

    Raises
    ------
    ParameterError
        If matplotlib is not installed.
    """
    if figure is not None:
        from matplotlib.figure import FigureBase

        return instance("figure", figure, FigureBase, "a matplotlib Figure")  # type: ignore[return-value]
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ParameterError('Pictures need matplotlib: pip install "gcp-tensor[plot]".') from None
    return Figure(figsize=size, dpi=150, layout="constrained")


def labelled(ax: Axes, x: str, y: str, title: str) -> Axes:
    """Return the axes in the style of all these pictures."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=TEXT_SIZE, length=2.5, width=0.6)
    ax.set_xlabel(x, fontsize=TEXT_SIZE + 1)
    ax.set_ylabel(y, fontsize=TEXT_SIZE + 1)
    ax.set_title(title, fontsize=TEXT_SIZE + 2)
    return ax
