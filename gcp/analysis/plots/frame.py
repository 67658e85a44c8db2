"""Figures and axes in one style, and what is written about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gcp.analysis.plots.fonts import show_scripts
from gcp.analysis.plots.palette import TEXT_SIZE
from gcp.base.checks import instance
from gcp.base.errors import ParameterError

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SMALL = (4.0, 3.6)
"""Inches of a picture of one panel."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_TICK_INCHES = 0.55, 0.35
"""Inches for each number across, and upwards."""


def axes_or_new(ax: Axes | None, size: tuple[float, float] = SMALL) -> Axes:
    """Return the given axes, or those of a new figure of pyplot's, of a size in inches."""
    if ax is None:
        return figure_or_new(None, size).subplots()
    from matplotlib.axes import Axes

    return instance("ax", ax, Axes, "matplotlib Axes")


def figure_or_new(figure: Figure | None, size: tuple[float, float]) -> Figure:
    """Return the given figure, or a new one of a size in inches.

    A new one is pyplot's: notebooks and ``plt.show()`` show it. The backend is pyplot's choice.

    Raises
    ------
    ParameterError
        If matplotlib is not installed.
    """
    if figure is not None:
        from matplotlib.figure import FigureBase

        return instance("figure", figure, FigureBase, "a matplotlib Figure")  # type: ignore[return-value]
    _check_installed()
    from matplotlib import pyplot

    return pyplot.figure(figsize=size, layout="constrained")


def file_figure(size: tuple[float, float] = SMALL) -> Figure:
    """Return a figure of a size in inches for a file or a page, of which pyplot knows nothing."""
    _check_installed()
    from matplotlib.figure import Figure

    return Figure(figsize=size, dpi=150, layout="constrained")


def _check_installed() -> None:
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ParameterError('Pictures need matplotlib: pip install "gcp-tensor[plot]".') from None


def labelled(ax: Axes, x: str, y: str, title: str, words: str) -> Axes:
    """Return the axes in the style of all these pictures.

    Parameters
    ----------
    ax : Axes
        With everything drawn.
    x, y, title : str
    words : str
        What the picture shows, with its numbers: the label of the axes, and the alternative text on a page.
    """
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(which="both", labelsize=TEXT_SIZE, length=2.5, width=0.6)
    ax.set_xlabel(x, fontsize=TEXT_SIZE + 1)
    ax.set_ylabel(y, fontsize=TEXT_SIZE + 1)
    ax.set_title(title, fontsize=TEXT_SIZE + 2)
    width, height = inches(ax)
    spread_ticks(ax.xaxis, width / _TICK_INCHES[0])
    spread_ticks(ax.yaxis, height / _TICK_INCHES[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_offset_text().set_fontsize(TEXT_SIZE)
    ax.set_label(words)
    show_scripts(ax)
    return ax


def legend_above(ax: Axes, n_columns: int = 3, handles: list[Artist] | None = None) -> None:
    """Write the legend above the axes, where nothing is drawn."""
    entries = ax.get_legend_handles_labels()[0] if handles is None else handles
    ax.legend(
        handles=entries,
        fontsize=TEXT_SIZE,
        frameon=False,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=n_columns,
        borderaxespad=0.2,
    )


def words_of(figure: Figure) -> str:
    """Return what the panels of a figure show, in words."""
    labels = [str(ax.get_label()) for ax in figure.axes]
    return " ".join(label for label in labels if label and label != "<colorbar>")


def inches(ax: Axes) -> tuple[float, float]:
    """Return about how wide and high the axes are, without what a layout will take off for their labels."""
    width, height = ax.figure.canvas.figure.get_size_inches()

    box = ax.get_position()
    return float(0.9 * width * box.width), float(0.9 * height * box.height)


def spread_ticks(axis: Axis, most: float) -> None:
    """Leave so many numbers along an axis at most, and write those of a logarithmic one out where they are few."""
    from matplotlib import ticker

    count = max(2, int(most))
    located: Any = axis.get_major_locator()
    if isinstance(located, ticker.LogLocator):
        low, high = sorted(axis.get_view_interval())
        is_short = low > 0 and high < 30 * low
        axis.set_major_locator(
            ticker.LogLocator(subs=(1, 2, 5) if is_short and high > 3 * low else (1,), numticks=count)
        )
        if is_short and high <= 3 * low:
            axis.set_major_locator(ticker.MaxNLocator(nbins=min(count, 4)))
        written = (lambda value, _: f"{value:.4g}") if is_short else power_text
        axis.set_major_formatter(ticker.FuncFormatter(written))
        axis.set_minor_formatter(ticker.NullFormatter())
    elif isinstance(located, ticker.SymmetricalLogLocator):
        axis.set_major_formatter(ticker.FuncFormatter(power_text))
    elif type(located) is ticker.AutoLocator:
        axis.set_major_locator(ticker.MaxNLocator(nbins=min(count, 6), steps=[1, 2, 2.5, 5, 10]))
        if isinstance(plain := axis.get_major_formatter(), ticker.ScalarFormatter):
            plain.set_powerlimits((-3, 5))


def power_text(value: float, _: object = None) -> str:
    """Return a power of 10 as text, not as mathematics, whose fonts are not everywhere: 10⁻³; near 1 as a number."""
    exponent = round(math.log10(abs(value))) if value else 0
    if -3 < exponent < 4 or not math.isclose(abs(value), 10.0**exponent, rel_tol=1e-9):
        return f"{value:.4g}"
    return ("-" if value < 0 else "") + "10" + str(exponent).translate(_RAISED)
